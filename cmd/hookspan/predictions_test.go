package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// The verbs for a person who submits predictions elsewhere: announce, look, wait.
func TestPredictionsByVerbs(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	for _, id := range []string{"pred_1", "a/b?c", "%2F"} {
		require.Contains(t, p.says("predictions", "watch", id, "--deadline", "10m", "--reference", "order 7", "--meta", "k=a;b=c"), "is watched: stored")
		shown := p.says("predictions", "show", id)
		require.Contains(t, shown, `reference  "order 7"`)
		require.Contains(t, shown, `k="a;b=c"`)
	}
	var watched bridge.Watched
	p.verb(&watched, "predictions", "watch", "pred_2", "--model", "get3w/flux-dev")
	require.Equal(t, bridge.Stored, watched.Result)

	type result struct {
		code        int
		out, errOut string
	}
	await := func(id string, more ...string) <-chan result {
		done := make(chan result, 1)
		go func() {
			code, out, errOut := runVerb(append([]string{"predictions", "await", id, "--api", p.ready.Admin}, more...)...)
			done <- result{code, out, errOut}
		}()
		return done
	}
	completed, failed, unknown := await("pred_1"), await("a/b?c"), await("pred_3", "--timeout", "1m")
	require.Eventually(t, func() bool {
		_, text := p.admin("/metrics")
		return strings.Contains(text, "hookspan_prediction_waiters 3")
	}, patience, 10*time.Millisecond)
	for _, body := range []string{
		`{"id":"pred_1","status":"completed","outputs":["https://cdn.get3w.com/a.png?sig=1","https://cdn.get3w.com/b.png"]}`,
		`{"id":"a/b?c","status":"failed","error":"no such prompt"}`, `{"id":"pred_3","status":"completed","outputs":["text"]}`,
	} {
		status, _ := p.post(body)
		require.Equal(t, 200, status)
	}
	require.Equal(t, result{0, "https://cdn.get3w.com/a.png\nhttps://cdn.get3w.com/b.png\n", ""}, <-completed)
	r := <-failed
	require.Equal(t, 1, r.code)
	require.Contains(t, r.errOut, `prediction "a/b?c" is failed: "no such prompt"`)
	r = <-unknown
	require.Equal(t, 0, r.code, r.errOut)
	require.Contains(t, r.out, "is no address")
	r = <-await("pred_2", "--timeout", "5s")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.errOut, "has not ended within --timeout: it is created")
	r = <-await("nobody", "--timeout", "5s")
	require.Equal(t, 1, r.code)
	require.Contains(t, r.errOut, "it is not known yet")
	var s bridge.PredictionState
	p.verb(&s, "predictions", "await", "pred_1")
	require.Equal(t, bridge.StatusCompleted, s.Status)

	for wrong, why := range map[string]string{
		"predictions show nobody": "Nothing is known", "predictions watch x --source other": "no such source", "predictions watch ..": "no prediction id",
		"predictions submit get3w/flux-dev": "not the JSON object", "predictions submit a//b --input testdata/nothing": "no such file",
	} {
		code, _, stderr := runVerb(append(strings.Fields(wrong), "--api", p.ready.Admin)...)
		require.Equal(t, 1, code, wrong)
		require.Contains(t, stderr, why, wrong)
	}
	for _, wrong := range []string{"predictions await", "predictions watch x --deadline soon", "predictions list --since soon"} {
		code, _, _ := runVerb(strings.Fields(wrong)...)
		require.Equal(t, 2, code, wrong)
	}
	code, _, stderr := runVerb("predictions", "await", "pred_1", "--api", "http://127.0.0.1:1")
	require.Equal(t, 1, code, "a bridge that is not there is told of at once")
	require.Contains(t, stderr, "is it running")
	require.Equal(t, 0, p.stop(), p.logs)
}

// Programs that are not ours announce by NATS.
func TestPredictionsAreAnnouncedByNATS(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	nc := p.natsEnv().Conn()
	var a struct {
		Result, ID string
		Error      json.RawMessage
	}
	require.Eventually(t, func() bool {
		m, err := nc.Request("hookspan.watch.get3w", []byte(`{"prediction":"pred_1","reference":"order 7"}`), patience)
		return err == nil && json.Unmarshal(m.Data, &a) == nil
	}, patience, 10*time.Millisecond)
	require.Nil(t, a.Error)
	require.Contains(t, p.says("predictions", "show", "pred_1"), `reference  "order 7"`)
	require.Eventually(t, func() bool {
		return strings.Contains(p.says("predictions", "list", "--ref", "order 7"), "pred_1")
	}, patience, 10*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
}

// The end of the bridge does not wait for those who wait for predictions.
func TestStopAnswersLongPolls(t *testing.T) {
	t.Parallel()
	p := serveHere(t, smallConfig)
	require.Contains(t, p.says("predictions", "watch", "pred_1"), "stored")
	answered := make(chan string, 1)
	go func() {
		res, err := http.Get(p.ready.Admin + "/api/v1/predictions/get3w/pred_1?wait=5m")
		if err != nil {
			answered <- err.Error()
			return
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answered <- string(text)
	}()
	require.Eventually(t, func() bool {
		_, text := p.admin("/metrics")
		return strings.Contains(text, "hookspan_prediction_waiters 1")
	}, patience, 10*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotEmpty(t, <-answered)
	require.NotContains(t, p.logs.String(), "cut off")
}

// answering is an API that answers one thing, and the verb that asks it.
func answering(t *testing.T, answer any, args ...string) string {
	t.Helper()
	api := stubAPI(t, answer)
	code, stdout, stderr := runVerb(append(args, "--api", api)...)
	require.Equal(t, 0, code, stderr)
	return stdout
}

func TestStatusInWords(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 14, 2, 0, 0, time.UTC)
	status := adminapi.ViewStatus{
		Leader: "host/123", LedAt: at, Streams: map[string]adminapi.ViewStream{"HOOKSPAN_EVENTS": {Folded: 4711, Behind: 1}}, Rebuilding: true,
		Sources: map[string]adminapi.SourceStatus{
			"get3w": {Open: 12, Overdue: 3, Oldest: at, Polled: true, LastWebhook: at, PolledSince: 31},
			"other": {},
		},
	}
	require.Equal(t, `get3w: 12 open, 3 overdue, the oldest seen 2026-01-31T14:02:00Z; last webhook 2026-01-31T14:02:00Z, 31 ended by polling since
other: 0 open; not polled: sources.<name>.api has no key
HOOKSPAN_EVENTS: folded to 4711, 1 behind
the view is being made anew
host/123 leads the polling, as it said at 2026-01-31T14:02:00Z
`, answering(t, status, "view", "status"))
	status = adminapi.ViewStatus{Error: "the disk is full", Since: at}
	require.Equal(t, `the view stands still since 2026-01-31T14:02:00Z: the disk is full
nobody leads the polling: run a process with the role reconciler
`, answering(t, status, "view", "status"))
	require.Contains(t, answering(t, adminapi.Rebuilding{Rebuilding: true}, "view", "rebuild"), "view status says how far")
	list := answering(t, adminapi.PredictionList{Predictions: []adminapi.Prediction{
		{Source: "get3w", ID: "a", Status: "completed", Outputs: 2, Stored: 1}, {ID: "b", Open: true}, {ID: "c", Lost: bridge.DeadNotFound},
	}, Next: "x7"}, "predictions", "list")
	for _, want := range []string{"1 of 2 outputs stored", "open", "given up: ", "--cursor x7"} {
		require.Contains(t, list, want)
	}
}

func TestSubmitVerb(t *testing.T) {
	t.Parallel()
	answer := bridge.Submitted{Source: "get3w", ID: "pred_1", Status: "created", EstimatedDuration: 4.5, Replayed: true, Answer: json.RawMessage(`{}`)}
	var out bytes.Buffer
	e := &env{ctx: context.Background(), getenv: func(string) (string, bool) { return "", false }, stdin: strings.NewReader(`{"prompt":"x"}`), stdout: &out, stderr: &out}
	require.Equal(t, 0, run([]string{"predictions", "submit", "get3w/flux-dev", "--idempotency-key", "k", "--api", stubAPI(t, answer)}, e), out.String())
	require.Equal(t, "\"pred_1\" is submitted already, it is \"created\", it takes about 4.5s: hookspan predictions await waits for its end\n", out.String())
}

func TestProgressBar(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.False(t, isTerminal(&out))
	bar := newProgressBar(&out)
	bar.clear()
	require.Empty(t, out.String())
	require.NoError(t, bar.draw(0.5, "processing"))
	require.Equal(t, "\r\x1b[K[###############...............]  50 %  processing", out.String())
	bar.width = 42
	require.NoError(t, bar.draw(1, "too long"))
	require.Equal(t, "[##############################] 100 %  …", out.String()[strings.LastIndex(out.String(), "["):], "a line that is broken could not be cleared")
	bar.clear()
	require.True(t, strings.HasSuffix(out.String(), clearLine))
}

// stubAPI answers every request with the same JSON.
func stubAPI(t *testing.T, answer any) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(answer) }))
	t.Cleanup(s.Close)
	return s.URL
}
