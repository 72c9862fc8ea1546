package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/simulate"
	"github.com/hookspan/hookspan/internal/natstest"
)

// door is an address that stays while the bridge behind it comes and goes. Without a bridge it
// answers 502.
type door struct {
	*httptest.Server

	bridge atomic.Pointer[url.URL]
	passed atomic.Int64
	each   func(n int64)
	// change changes the text of an answer.
	change func(asked *url.URL, text string) string
}

func openDoor(t *testing.T, to string) *door {
	t.Helper()
	d := &door{}
	d.lead(t, to)
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(d.bridge.Load()) },
		ModifyResponse: func(r *http.Response) error { return d.modify(r) },
		ErrorLog:       log.New(io.Discard, "", 0),
	}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := d.passed.Add(1); d.each != nil {
			d.each(n)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *door) modify(r *http.Response) error {
	if d.change == nil {
		return nil
	}
	text, err := io.ReadAll(r.Body)
	changed := d.change(r.Request.URL, string(text))
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
	r.Header.Del("Content-Length")
	return err
}

func (d *door) lead(t *testing.T, to string) {
	t.Helper()
	u, err := url.Parse(to)
	require.NoError(t, err)
	u.Path = ""
	d.bridge.Store(u)
}

// simulation is a run of the verb that goes on beside the test.
type simulation struct {
	ended  chan struct{}
	code   int
	report simulate.Report
	stderr string
}

func startSimulation(ctx context.Context, t *testing.T, args ...string) *simulation {
	t.Helper()
	s := &simulation{ended: make(chan struct{})}
	var out, errOut bytes.Buffer
	e := testEnv()
	e.ctx, e.stdout, e.stderr = ctx, &out, &errOut
	go func() {
		defer close(s.ended)
		s.code = run(append([]string{"--json", "simulate"}, args...), e)
		s.stderr = errOut.String()
		_ = json.Unmarshal(out.Bytes(), &s.report) // it is empty then
	}()
	return s
}

// end returns the exit code and the report, which must add up.
func (s *simulation) end(t *testing.T) (int, simulate.Report) {
	t.Helper()
	<-s.ended
	r := s.report
	require.NotEmpty(t, r.Run, s.stderr)
	require.Equal(t, r.Sent, r.Acknowledged+r.Abandoned+r.Interrupted, "%+v", r)
	require.Equal(t, r.Acknowledged, r.Stored+r.Quarantined+r.Waiting+r.Lost+r.Unknown, "%+v", r)
	require.Equal(t, r.Outputs.Served, r.Outputs.Archived+r.Outputs.GivenUp+r.Outputs.Waiting, "%+v", r)
	for _, c := range r.Consumers {
		require.Equal(t, r.Stored+r.Unacknowledged+r.Polled, c.Handled+c.Dead+c.NotMeant+c.Waiting, "%+v", c)
	}
	return s.code, r
}

// through returns the flags that name a bridge behind doors.
func through(webhooks, admin *door) []string {
	return []string{"--url", webhooks.URL + "/webhooks/get3w", "--api", admin.URL}
}

const simulatedConfig = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
`

// A run with every fault at once, in which the bridge is killed and started anew, adds up, and
// nothing is lost.
func TestSimulateWithFaultsAddsUp(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(target.Close)
	text := simulatedConfig + `
consumers:
  archive: {kind: archive, hosts: [127.0.0.1], allow_private: true, retry: {first: 100ms}}
  team: {kind: forward, url: "` + target.URL + `", secret: env:GET3W_WEBHOOK_SECRET, allow_private: true, start: all, retry: {first: 100ms}}
`
	dir := t.TempDir()
	first := serve(t, dir, text)
	webhooks, admin := openDoor(t, first.url()), openDoor(t, first.ready.Admin)
	killed := make(chan struct{})
	webhooks.each = func(n int64) {
		if n == 60 {
			_ = first.cmd.Process.Kill()
			close(killed)
		}
	}
	s := startSimulation(t.Context(), t, append(through(webhooks, admin), "--count", "150", "--rate", "100", "--speed", "2", "--wait", "2m",
		"--duplicate-every", "4", "--forge-every", "7", "--break-every", "9", "--late-every", "5", "--size", "500B-40KiB",
		"--outputs", "2", "--output-bytes", "100KB", "--slow-every", "13", "--cut-every", "5", "--missing-every", "11")...)
	<-killed
	first.kill()
	second := serve(t, dir, text)
	admin.lead(t, second.ready.Admin)
	webhooks.lead(t, second.url())
	code, r := s.end(t)
	require.Equal(t, exitDone, code, "%+v\n%s", r, second.logs)
	require.Greater(t, r.Sent, 150, "some come late, too")
	require.Zero(t, r.Abandoned)
	require.Greater(t, r.Attempts, r.Sent, "some were tried again")
	require.Positive(t, r.Duplicates)
	require.Positive(t, r.Answers["502"]+r.Answers["connection lost"])
	require.Equal(t, 150/9, r.Quarantined)
	require.Positive(t, r.Forged)
	require.Positive(t, r.Refused)
	require.LessOrEqual(t, r.Refused, r.Forged, "the bridge was away for some")
	require.Positive(t, r.Outputs.Archived)
	require.Positive(t, r.Outputs.GivenUp, "some are missing")
	require.Zero(t, r.Outputs.Waiting, "%+v", r)
	require.Len(t, r.Consumers, 2)
	for _, c := range r.Consumers {
		require.Positive(t, c.Handled, "%+v", c)
		require.Zero(t, c.Waiting, "%+v", c)
		require.Equal(t, c.Name == "archive", c.Dead > 0, "%+v", c)
	}
	require.Equal(t, 0, second.stop(), second.logs)
}

// What the stream loses once it was acknowledged is named, and ends the verb with 1.
func TestSimulateNamesWhatTheStoreLost(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	js := x.JetStream()
	var lost atomic.Pointer[string]
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lost.Load() != nil {
			return
		}
		stream, err := js.Stream(r.Context(), "HOOKSPAN_EVENTS")
		if err == nil {
			m, err := stream.GetMsg(r.Context(), 1)
			if err == nil && stream.DeleteMsg(r.Context(), 1) == nil {
				id := m.Header.Get("ce-subject")
				lost.Store(&id)
				return
			}
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(target.Close)
	p := serveHere(t, `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {url: "`+x.URL()+`", events: {max_bytes: 64MiB}}
consumers:
  archive: {enabled: false}
  team: {kind: forward, url: "`+target.URL+`", secret: env:GET3W_WEBHOOK_SECRET, allow_private: true, start: all, concurrency: 1, retry: {first: 100ms}}
`)
	require.Eventually(t, func() bool { // the streams are made beside what is ready
		_, stdout, _ := runVerb("consumers", "list", "--api", p.ready.Admin)
		return strings.Contains(stdout, "team")
	}, patience, 10*time.Millisecond, p.logs)
	s := startSimulation(t.Context(), t, "--config", filepath.Join(p.dir, "hookspan.yaml"), "--count", "10", "--rate", "1000", "--status", "completed", "--wait", "2m")
	code, r := s.end(t)
	require.Equal(t, exitFailed, code)
	require.NotNil(t, lost.Load())
	require.Equal(t, 1, r.Lost, "%+v", r)
	require.Len(t, r.Wrong, 1)
	// Which it is depends on whether the event was seen before it was deleted.
	require.Regexp(t, `^`+*lost.Load()+` was acknowledged(, and event 1 of it \(| as event `+*lost.Load()+`/\S+, and is not in the stream)`, r.Wrong[0])
	require.Equal(t, 0, p.stop(), p.logs)
}

// A bridge that may not fetch from this machine loses nothing, and the report says what to
// configure.
func TestSimulateSaysThatOutputsAreRefused(t *testing.T) {
	t.Parallel()
	p := serveHere(t, simulatedConfig)
	code, stdout, stderr := runVerb("simulate", "--config", filepath.Join(p.dir, "hookspan.yaml"), "--count", "3", "--rate", "1000", "--outputs", "1", "--status", "completed", "--wait", "1s")
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, `consumers: {archive: {kind: archive, hosts: [cdn.get3w.com, "127.0.0.1"], allow_private: true}}`)
	require.Contains(t, stdout, "nothing is lost")
	require.Empty(t, stderr, "the bar is for terminals alone")
	require.Equal(t, 0, p.stop(), p.logs)
}

// Ctrl-C ends the sending, and what was sent is accounted for.
func TestSimulateInterrupted(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	ctx, interrupt := context.WithCancel(t.Context())
	webhooks, admin := openDoor(t, p.url()), openDoor(t, p.ready.Admin)
	webhooks.each = func(n int64) {
		if n == 20 {
			interrupt()
		}
	}
	code, r := startSimulation(ctx, t, append(through(webhooks, admin), "--count", "100000", "--rate", "100")...).end(t)
	require.Less(t, r.Sent, 100_000)
	require.GreaterOrEqual(t, r.Sent, 20)
	require.Zero(t, r.Abandoned)
	require.Zero(t, r.Lost, "%+v", r)
	require.Equal(t, r.Waiting > 0, code == exitFailed, "it does not wait: what is not there yet is not accounted for")
	require.Zero(t, r.Corrupt, "%+v", r)
	require.Equal(t, 0, p.stop(), p.logs)
}

// A sender whose secret is wrong gives up, and says why.
func TestSimulateWithAWrongSecret(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	wrong := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(wrong, []byte("another secret"), 0o600))
	code, stdout, _ := runVerb("simulate", "--config", filepath.Join(p.dir, "hookspan.yaml"), "--count", "2", "--speed", "100000", "--secret", "file:"+wrong)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stdout, "WRONG: 2 webhooks were given up after at most 4 attempts")
	require.Contains(t, stdout, "--secret is not the one of its source")
	require.Equal(t, 0, p.stop(), p.logs)
}

func TestSimulateRefusesWrongUse(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	for words, args := range map[string][]string{
		"say with --url":                    {"--api", p.ready.Admin},
		"--count is 0":                      {"--count", "0"},
		"--rate is NaN":                     {"--rate", "NaN"},
		"--speed is 0":                      {"--speed", "0"},
		"the first size is the smaller":     {"--size", "2KiB-1KiB"},
		"the weight is a number":            {"--status", "completed=0"},
		"--listen":                          {"--listen", "8080"},
		"name the host by which":            {"--listen", ":8090"},
		"--slow-every is -1":                {"--slow-every=-1"},
		"unknown kind \"acme\": use one of": {"--kind", "acme"},
		"--api-listen: the bridge must ask": {"--drop-every", "3"},
		"luma tells of completed, failed":   {"--kind", "luma", "--status", "created", "--api-listen", "127.0.0.1:0"},
		"--forge-every is not for":          {"--kind", "runpod", "--forge-every", "2", "--api-listen", "127.0.0.1:0"},
		"--drop-every is not for":           {"--kind", "deepgram", "--drop-every", "2"},
		"--wait is -1s: use 0s to 24h":      {"--wait=-1s"},
		"longer than the 64 bytes":          {"--status", strings.Repeat("x", 65)},
		"--outputs is 17: use 0 to 16":      {"--outputs", "17"},
		"--missing-every is 1e+10: use 0":   {"--missing-every", "10000000000"},
	} {
		code, stdout, stderr := runVerb(append([]string{"simulate"}, args...)...)
		require.Equal(t, exitUsage, code, words)
		require.Empty(t, stdout)
		require.Contains(t, stderr, words)
	}
	code, _, stderr := runVerb("simulate", "--config", filepath.Join(p.dir, "hookspan.yaml"), "--source", "other")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, `--source: there is no "other": use one of get3w`)
	code, _, stderr = runVerb("simulate", "--api", "http://127.0.0.1:1", "--url", p.url())
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "is it running")
	require.Equal(t, 0, p.stop(), p.logs)
}
