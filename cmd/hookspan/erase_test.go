package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

const eraseConfig = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
sources: {get3w: {kind: get3w, secrets: ["env:GET3W_WEBHOOK_SECRET"], query: [ref, tenant]}}
consumers:
  archive: {kind: archive, hosts: [127.0.0.1], allow_private: true}
  broken: {kind: exec, command: ["/bin/sh", "-c", "cat >&2; exit 65"]}
  later: {kind: exec, command: ["/bin/sh", "-c", "cat >&2; exit 1"], retry: {first: 5m, max: 1h, give_up_after: 72h}}
  flaky: {kind: exec, command: ["/bin/sh", "-c", "cat >&2; exit 1"], retry: {first: 20ms, max: 1h, give_up_after: 72h}}
`

// subject is a prediction with something in every place.
type subject struct {
	id, tenant, reference, prompt, path string
}

func newSubject(n int) subject {
	return subject{
		id: fmt.Sprintf("pred_customer_%04d", n), tenant: fmt.Sprintf("tenant-%04d", n), reference: fmt.Sprintf("reference-%04d", n),
		prompt: fmt.Sprintf("a portrait of customer %04d", n), path: fmt.Sprintf("/secret-output-%04d.png", n),
	}
}

func (s subject) texts() []string {
	return []string{s.id, s.tenant, s.reference, s.prompt, s.path, "pixels of " + s.path}
}

// postTo posts to the source with the subject's query, signed or not.
func (s subject) postTo(p *program, body string, signed bool) (status int, text string) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.url()+"?ref="+s.reference+"&tenant="+s.tenant, strings.NewReader(body))
	require.NoError(p.t, err)
	if signed {
		sign(p.t, req.Header, body)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	buf := &bytes.Buffer{}
	_, err = buf.ReadFrom(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, buf.String()
}

// leave leaves something of the subject in every place, and waits until it is there.
func (s subject) leave(p *program, outputs string) {
	p.t.Helper()
	p.announce(s)
	for _, body := range s.bodies(outputs) {
		status, text := s.postTo(p, body, true)
		require.Equal(p.t, 200, status, text)
	}
	status, text := s.postTo(p, fmt.Sprintf(`{"id":%q,"id":%q,"prompt":%q}`, s.id, s.id, s.prompt), true)
	require.Equal(p.t, 200, status, text)
	require.Contains(p.t, text, "quarantined")
	status, _ = s.postTo(p, fmt.Sprintf(`{"id":%q,"prompt":%q,"status":"completed"}`, s.id, s.prompt), false)
	require.Equal(p.t, 401, status)
}

func (s subject) bodies(outputs string) []string {
	return []string{
		fmt.Sprintf(`{"id":%q,"model":"a/b","status":"processing","input":{"prompt":%q}}`, s.id, s.prompt),
		fmt.Sprintf(`{"id":%q,"model":"a/b","status":"completed","input":{"prompt":%q},"outputs":[%q]}`, s.id, s.prompt, outputs+s.path),
	}
}

func (p *program) announce(s subject) {
	p.t.Helper()
	body := fmt.Sprintf(`{"reference":%q,"tenant":%q}`, s.reference, s.tenant)
	req, err := http.NewRequest(http.MethodPut, p.ready.Admin+"/api/v1/predictions/get3w/"+s.id, strings.NewReader(body))
	require.NoError(p.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	require.NoError(p.t, res.Body.Close())
	require.Equal(p.t, 200, res.StatusCode)
}

// settled waits until n subjects have left something in every place.
func (p *program) settled(n int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		later, broken := p.state("later"), p.state("broken")
		var dead adminapi.DeadLetterList
		p.verb(&dead, "dead", "list")
		var kept adminapi.KeptList
		p.verb(&kept, "quarantine", "list")
		archived, err := filepath.Glob(filepath.Join(p.dir, "hookspan-data", "archive", "get3w", "*", "*", "*", "*", "manifest.json"))
		return err == nil && later.Later == uint64(n) && broken.Dead == uint64(n) && len(kept.Entries) == 2*n && len(archived) == n
	}, patience, 50*time.Millisecond, p.logs)
}

// rest pauses a consumer, and waits until none of its attempts is under way.
func (p *program) rest(name string) {
	p.t.Helper()
	p.says("consumers", "pause", name)
	idle := `hookspan_consumer_in_flight_events{consumer="` + name + `"} 0`
	require.Eventually(p.t, func() bool {
		_, text := p.admin("/metrics")
		return strings.Contains(text, idle)
	}, patience, 50*time.Millisecond, p.logs)
}

// found returns the files that have one of the texts, in their content or their name.
func found(t *testing.T, dir string, texts []string) (in []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the bridge has just removed it
		}
		if err != nil {
			return err
		}
		var data []byte
		if !entry.IsDir() {
			if data, err = os.ReadFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		for _, text := range texts {
			if bytes.Contains(data, []byte(text)) || strings.Contains(path, text) {
				in = append(in, strings.TrimPrefix(path, dir)+": "+text)
			}
		}
		return nil
	}))
	return in
}

func pictureServer(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("pixels of " + r.URL.Path))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// An erased prediction is in no file of the data folder any more: not in the streams, in what the
// server keeps of replaced and acknowledged messages, in the view, the journal or the archive.
// Another prediction keeps everything. What comes of the erased one later is answered 200 and
// not kept, also after a restart. Others are told of a hash.
func TestErasedPredictionIsNowhere(t *testing.T) {
	t.Parallel()
	outputs, dir := pictureServer(t), t.TempDir()
	gone, stays := newSubject(1), newSubject(2)
	p := serve(t, dir, eraseConfig)
	gone.leave(p, outputs)
	stays.leave(p, outputs)
	p.settled(2)
	require.Eventually(t, func() bool { return p.state("flaky").Failures >= 4 }, patience, 20*time.Millisecond, p.logs)
	p.rest("flaky")
	data := filepath.Join(dir, "hookspan-data")
	require.NotEmpty(t, found(t, data, []string{gone.id}))

	var report adminapi.EraseReport
	p.verb(&report, "erase", gone.id, "--dry-run")
	require.True(t, report.DryRun)
	would := counts(report)
	for _, place := range []string{"HOOKSPAN_EVENTS", "HOOKSPAN_LATER", "HOOKSPAN_DEAD", "HOOKSPAN_QUARANTINE", "HOOKSPAN_REFUSED", "KV_HOOKSPAN_ATTEMPTS", "consumer archive", "view"} {
		require.NotZero(t, would[place], "%s: %v", place, would)
	}
	require.NotEmpty(t, found(t, data, []string{gone.id}), "a dry run changes nothing")

	p.verb(&report, "erase", gone.id, "--yes")
	require.True(t, report.Complete, "%+v", report)
	require.Equal(t, 1, report.Predictions)
	require.Equal(t, would["HOOKSPAN_EVENTS"], counts(report)["HOOKSPAN_EVENTS"])
	require.Empty(t, found(t, data, gone.texts()), "while it runs")
	require.Contains(t, p.says("erase", gone.id, "--dry-run"), "Nothing of it is in these places.")

	for _, body := range append(gone.bodies(outputs), fmt.Sprintf(`{"id":%q,"id":%q}`, gone.id, gone.id)) {
		status, text := gone.postTo(p, body, true)
		require.Equal(t, 200, status)
		require.JSONEq(t, `{"result":"erased"}`, text)
	}
	p.verb(&report, "erase", gone.id, "--yes")
	require.True(t, report.Complete, "%+v", report)
	requireErasedEvent(t, p, gone)
	require.Equal(t, 0, p.stop(), p.logs)
	require.Empty(t, found(t, data, gone.texts()), "after a stop")
	require.NotContains(t, p.logs.String(), "fewer than it should have")
	for _, text := range stays.texts() {
		require.NotEmpty(t, found(t, data, []string{text}), text)
	}

	p = serve(t, dir, eraseConfig)
	status, text := gone.postTo(p, gone.bodies(outputs)[1], true)
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"result":"erased"}`, text)
	p.settled(1)
	require.Equal(t, 0, p.stop(), p.logs)
	require.Empty(t, found(t, data, gone.texts()), "after a restart")
}

func counts(r adminapi.EraseReport) map[string]int {
	out := map[string]int{}
	for _, p := range r.Places {
		out[p.Place] += p.Count
	}
	return out
}

// requireErasedEvent reads the event that tells others.
func requireErasedEvent(t *testing.T, p *program, s subject) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := p.natsEnv().CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{FilterSubject: "hookspan.events.get3w.prediction.erased.a.b"})
	require.NoError(t, err)
	m, err := c.Next(jetstream.FetchContext(ctx))
	require.NoError(t, err)
	ev, err := bridge.DecodeEvent(bridge.Header(m.Headers()), m.Data())
	require.NoError(t, err)
	require.Equal(t, bridge.KindErased, ev.Kind())
	told, err := ev.Erased()
	require.NoError(t, err)
	hash := bridge.ErasedHash("get3w", s.id)
	require.Equal(t, []string{"get3w", hash, hash}, []string{told.Source, told.Hash, ev.PredictionID})
}

// All predictions of a tenant go, page after page, and what else names the tenant.
func TestErasedTenantIsNowhere(t *testing.T) {
	t.Parallel()
	outputs, dir := pictureServer(t), t.TempDir()
	p := serve(t, dir, eraseConfig)
	stays := newSubject(100)
	stays.leave(p, outputs)
	var texts []string
	for n := range 5 {
		s := newSubject(n)
		s.tenant = "tenant-of-many"
		s.leave(p, outputs)
		texts = append(texts, s.texts()...)
	}
	// This one names no prediction.
	status, text := subject{tenant: "tenant-of-many", reference: "r"}.postTo(p, `{"status":"completed"}`, true)
	require.Equal(t, 200, status, text)
	require.Eventually(t, func() bool {
		later := p.state("later")
		return later.Later == 6 && p.state("broken").Dead == 6
	}, patience, 50*time.Millisecond, p.logs)

	// What an attempt writes that runs meanwhile is not erased.
	require.Eventually(t, func() bool { return p.state("flaky").Failures >= 36 }, patience, 20*time.Millisecond, p.logs)
	p.rest("flaky")
	var plan adminapi.JobPlan
	p.verb(&plan, "erase", "--tenant", "tenant-of-many", "--dry-run")
	require.Equal(t, 5, plan.Count)
	job := p.eraseTenant("tenant-of-many", 2)
	job = p.untilJob(job.ID, func(job adminapi.Job) bool { return job.State.Ended() })
	require.Equal(t, adminapi.JobDone, job.State, "%+v", job)
	require.Equal(t, map[string]int{adminapi.OutcomeErased: 5}, job.Outcomes)
	require.Contains(t, string(job.Call), `"tenant":"sha256:`)
	require.Equal(t, "0 predictions erased", strings.SplitN(p.says("erase", "--tenant", "tenant-of-many", "--yes"), "\n", 2)[0])
	require.Equal(t, 0, p.stop(), p.logs)
	data := filepath.Join(dir, "hookspan-data") // with the jobs, which are kept
	require.Empty(t, found(t, data, texts))
	for _, text := range stays.texts() {
		require.NotEmpty(t, found(t, data, []string{text}), text)
	}
}

// eraseTenant begins a job.
func (p *program) eraseTenant(tenant string, rate int) (job adminapi.Job) {
	p.t.Helper()
	body := fmt.Sprintf(`{"kind":"erase","tenant":%q,"rate":%d}`, tenant, rate)
	res, err := http.Post(p.ready.Admin+"/api/v1/jobs", "application/json", strings.NewReader(body))
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	require.Equal(p.t, http.StatusOK, res.StatusCode)
	require.NoError(p.t, json.NewDecoder(res.Body).Decode(&job))
	return job
}

// A job that erases a tenant goes on after a kill, and leaves nothing, also of what it was at.
func TestErasingATenantSurvivesAKill(t *testing.T) {
	t.Parallel()
	outputs, dir := pictureServer(t), t.TempDir()
	p := serve(t, dir, eraseConfig)
	var texts []string
	for n := range 3 {
		s := newSubject(n)
		s.tenant = "tenant-of-many"
		s.leave(p, outputs)
		texts = append(texts, s.texts()...)
	}
	p.settled(3)
	data := filepath.Join(dir, "hookspan-data")
	job := p.eraseTenant("tenant-of-many", 100)
	require.Eventually(t, func() bool { return len(found(t, filepath.Join(data, "archive", "get3w"), texts)) == 0 }, patience, time.Millisecond, p.logs)
	p.kill()
	p = serve(t, dir, eraseConfig)
	job = p.untilJob(job.ID, func(job adminapi.Job) bool { return job.State.Ended() })
	require.Equal(t, adminapi.JobDone, job.State, "%+v", job)
	require.Equal(t, 3, job.Total)
	requireSum(t, job)
	require.Equal(t, 0, p.stop(), p.logs)
	require.Empty(t, found(t, data, texts))
}

// erase calls the API, and returns the status.
func (p *program) erase(call adminapi.EraseCall, report *adminapi.EraseReport) int {
	p.t.Helper()
	body, err := json.Marshal(call)
	require.NoError(p.t, err)
	res, err := http.Post(p.ready.Admin+"/api/v1/erase", "application/json", bytes.NewReader(body))
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK {
		require.NoError(p.t, json.NewDecoder(res.Body).Decode(report))
	}
	return res.StatusCode
}

// A bridge that is killed while it erases is told to erase again, and then nothing is left.
func TestErasingSurvivesAKill(t *testing.T) {
	t.Parallel()
	outputs, dir := pictureServer(t), t.TempDir()
	gone := newSubject(1)
	p := serve(t, dir, eraseConfig)
	gone.leave(p, outputs)
	p.settled(1)
	data := filepath.Join(dir, "hookspan-data")
	archived := filepath.Join(data, "archive", "get3w")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		body := fmt.Sprintf(`{"source":"get3w","prediction":%q}`, gone.id)
		if res, err := http.Post(p.ready.Admin+"/api/v1/erase", "application/json", strings.NewReader(body)); err == nil {
			_ = res.Body.Close()
		}
	}()
	// The streams come before the archive, the view and the journal after it.
	require.Eventually(t, func() bool { return len(found(t, archived, []string{gone.id})) == 0 }, patience, time.Millisecond, p.logs)
	p.kill()
	<-ended

	p = serve(t, dir, eraseConfig)
	status, text := gone.postTo(p, gone.bodies(outputs)[1], true)
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"result":"erased"}`, text)
	var report adminapi.EraseReport
	p.verb(&report, "erase", gone.id, "--yes")
	require.True(t, report.Complete, "%+v", report)
	require.Equal(t, 0, p.stop(), p.logs)
	require.Empty(t, found(t, data, gone.texts()))
}

// A prediction is erased while handlers are at work on it. Whatever they answer afterwards,
// nothing of it is kept: no copy that waits, no attempt record, no dead letter.
func TestErasedWhileItIsHandled(t *testing.T) {
	t.Parallel()
	dir, busy := t.TempDir(), t.TempDir()
	p := serve(t, dir, `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
sources: {get3w: {kind: get3w, secrets: ["env:GET3W_WEBHOOK_SECRET"], query: [ref, tenant]}}
consumers:
  archive: {enabled: false}
`+strings.ReplaceAll(`
  again: {kind: exec, retry: {first: 5m, max: 1h}, command: [RUN, again, 1]}
  broken: {kind: exec, command: [RUN, broken, 65]}
  once: {kind: exec, once: true, retry: {first: 5m, max: 1h}, command: [RUN, once, 1]}
  handled: {kind: exec, once: true, command: [RUN, handled, 0]}
`, "RUN", `/bin/sh, -c, 'cat >&2; touch "$0/$1"; while [ -e "$0/$1" ]; do sleep 0.02; done; exit $2', `+busy))
	gone := newSubject(1)
	status, text := gone.postTo(p, gone.bodies("https://cdn.get3w.com")[1], true)
	require.Equal(t, 200, status, text)
	working := func() []string {
		files, err := filepath.Glob(filepath.Join(busy, "*"))
		require.NoError(t, err)
		return files
	}
	require.Eventually(t, func() bool { return len(working()) == 4 }, patience, 20*time.Millisecond, p.logs)

	var report adminapi.EraseReport
	p.verb(&report, "erase", gone.id, "--yes")
	require.True(t, report.Complete, "%+v", report)
	for _, file := range working() {
		require.NoError(t, os.Remove(file))
	}
	require.Eventually(t, func() bool { return strings.Count(p.logs.String(), `"msg":"attempt"`) == 4 }, patience, 20*time.Millisecond, p.logs)
	data := filepath.Join(dir, "hookspan-data")
	require.Empty(t, found(t, data, gone.texts()), p.logs)
	require.Equal(t, 0, p.stop(), p.logs)
	require.Empty(t, found(t, data, gone.texts()), "after a stop")
}

// Two processes use one NATS. What one erases the other one does not take either, and it leaves
// the files of both: the view and the journal of the other one too.
func TestErasedByAnotherProcess(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	config := fmt.Sprintf(`
admin: {listen: "127.0.0.1:0"}
ingress: {listen: "127.0.0.1:0"}
nats: {url: %q, events: {max_bytes: 64MiB}}
sources: {get3w: {kind: get3w, secrets: ["env:GET3W_WEBHOOK_SECRET"], query: [ref, tenant]}}
consumers: {archive: {enabled: false}}
`, x.URL())
	first, second := serve(t, t.TempDir(), config), serve(t, t.TempDir(), config)
	gone := newSubject(1)
	for _, body := range gone.bodies("https://cdn.get3w.com") {
		status, text := gone.postTo(second, body, true)
		require.Equal(t, 200, status, text)
	}
	listed := func(p *program) int {
		var list adminapi.PredictionList
		p.verb(&list, "predictions", "list")
		return len(list.Predictions)
	}
	require.Eventually(t, func() bool { return listed(first) == 1 && listed(second) == 1 }, patience, 20*time.Millisecond)

	var report adminapi.EraseReport
	first.verb(&report, "erase", gone.id, "--yes")
	require.True(t, report.Complete, "%+v", report)
	require.Contains(t, strings.Join(report.Beyond, " "), "NATS servers")
	require.Eventually(t, func() bool {
		_, text := gone.postTo(second, gone.bodies("https://cdn.get3w.com")[1], true)
		return strings.Contains(text, `"erased"`)
	}, patience, 20*time.Millisecond)
	for _, p := range []*program{first, second} {
		data := filepath.Join(p.dir, "hookspan-data")
		var left []string
		require.Eventually(t, func() bool { left = found(t, data, gone.texts()); return len(left) == 0 }, patience, 50*time.Millisecond, "%v: %v", &left, p.logs)
		require.Zero(t, listed(p))
		require.Equal(t, 0, p.stop(), p.logs)
		require.Empty(t, found(t, data, gone.texts()))
	}
}

// A call that names too little, too much or nonsense changes nothing.
func TestEraseRefusesNonsense(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	for _, call := range []adminapi.EraseCall{
		{},
		{Source: "get3w"},
		{Prediction: "p"},
		{Source: "Get3W", Prediction: "p"},
		{Source: "get3w", Prediction: strings.Repeat("x", 257)},
	} {
		require.Equal(t, 400, p.erase(call, nil), "%+v", call)
	}
	for _, args := range []string{"erase", "erase --source get3w", "erase p --tenant t", "erase --tenant t --source get3w", "erase --tenant=", "erase get3w p"} {
		code, _, _ := runVerb(append(strings.Fields(args), "--api", p.ready.Admin)...)
		require.Equal(t, 2, code, args)
	}
	code, _, stderr := runVerb("erase", "p", "--api", p.ready.Admin)
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "add --yes")
	code, _, stderr = answer(t, "", "n\n", "erase", "p", "--api", p.ready.Admin)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "Erase prediction p of source get3w for good, everywhere?")

	var report adminapi.EraseReport
	require.Equal(t, 200, p.erase(adminapi.EraseCall{Source: "get3w", Prediction: "never\x00seen\u202e"}, &report))
	require.True(t, report.Complete, "%+v", report)
}
