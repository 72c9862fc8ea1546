package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const sampleWhsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// kindsApp is a bridge with the sources. Their secrets are env:SECRET, which is the key of their
// APIs too, and env:WHSEC.
func kindsApp(t *testing.T, sources string) *App {
	t.Helper()
	file := configFile(t, "data_dir: "+t.TempDir()+"\n"+freePorts+"sources:\n"+sources)
	cfg, err := config.Load(file)
	require.NoError(t, err)
	a, err := New(cfg, Options{File: file, Log: io.Discard, Getenv: func(name string) (string, bool) {
		value, ok := map[string]string{"SECRET": sampleSecret, "WHSEC": sampleWhsec}[name]
		return value, ok
	}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Stop()) })
	require.NoError(t, a.Start(t.Context()))
	return a
}

// postTo posts a webhook and returns the answer.
func postTo(t *testing.T, a *App, name, body string, header http.Header) (status int, answer struct{ Result, ID, Cause string }) {
	t.Helper()
	u, err := url.JoinPath(strings.TrimSuffix(a.Ready().Webhooks[name], "/"))
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, strings.NewReader(body))
	require.NoError(t, err)
	req.Header = header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	_ = json.NewDecoder(res.Body).Decode(&answer) // a problem has none of its fields
	return res.StatusCode, answer
}

// signedBy is what a sender of the kind puts beside a body.
func signedBy(t *testing.T, kind, secret, body string) http.Header {
	t.Helper()
	k, err := source.KindOf(kind)
	require.NoError(t, err)
	h, err := k.Proof.Sign(source.Message{ID: "msg_1", At: time.Now(), Body: []byte(body)}, []byte(secret))
	require.NoError(t, err)
	return http.Header(h)
}

// awaited is a prediction once it has ended.
func awaited(t *testing.T, a *App, source, id string) (state bridge.PredictionState) {
	t.Helper()
	body := fetchFrom(t, a, "/api/v1/predictions/"+source+"/"+url.PathEscape(id)+"?wait=60s", "").body
	require.NoError(t, json.Unmarshal([]byte(body), &state), body)
	return state
}

// answering is a provider's API that answers by path and counts what it is asked.
func answering(t *testing.T, answers map[string]func(n int64) (int, string)) (address string, questions *atomic.Int64) {
	t.Helper()
	questions = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := questions.Add(1)
		answer, ok := answers[r.URL.RequestURI()]
		if !ok || !strings.HasSuffix(r.Header.Get("Authorization"), sampleSecret) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"error":"no such thing"}`))
			return
		}
		status, body := answer(n)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(s.Close)
	return s.URL, questions
}

func says(body string) func(int64) (int, string) {
	return func(int64) (int, string) { return http.StatusOK, body }
}

// What nothing proves is kept before the answer, and counts once the provider has said it.
func TestTheProviderConfirms(t *testing.T) {
	address, questions := answering(t, map[string]func(int64) (int, string){
		"/status/rp": func(n int64) (int, string) {
			if n == 1 {
				return http.StatusInternalServerError, `{}` // it fails first
			}
			return http.StatusOK, `{"id":"rp","status":"COMPLETED","output":{"text":"true"}}`
		},
		"/responses/resp_1": says(`{"id":"resp_1","status":"completed","model":"gpt-x","output":[{"type":"message","content":"hi"}]}`),
	})
	a := kindsApp(t, `
  runpod: {kind: runpod, query: [ref], api: {base_url: "`+address+`", key: env:SECRET, rate: 100/s}}
  openai: {kind: openai, secrets: [env:WHSEC], api: {base_url: "`+address+`", key: env:SECRET}}
  thin: {kind: openai, secrets: [env:WHSEC]}
`)
	status, answer := postTo(t, a, "runpod", `{"id":"rp","status":"COMPLETED","output":{"text":"forged"}}`, nil)
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.Unconfirmed), answer.Result)
	state := awaited(t, a, "runpod", "rp")
	require.Equal(t, bridge.StatusCompleted, state.Status)
	require.Equal(t, bridge.OriginPoll, state.Origin)
	require.Equal(t, 1, state.OutputCount)
	require.GreaterOrEqual(t, questions.Load(), int64(2))

	status, answer = postTo(t, a, "runpod", `{"id":"rp","status":"IN_PROGRESS"}`, nil)
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.ProgressOnly), answer.Result)
	for _, body := range []string{`{"status":"COMPLETED"}`, `no JSON`, ``, `[]`} {
		status, _ = postTo(t, a, "runpod", body, nil)
		require.Equal(t, 401, status, "a stranger's text does not get into the quarantine")
	}

	thin := `{"type":"response.completed","data":{"id":"resp_1"}}`
	secret := sampleWhsec
	status, answer = postTo(t, a, "openai", thin, signedBy(t, "openai", secret, thin))
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.Unconfirmed), answer.Result)
	state = awaited(t, a, "openai", "resp_1")
	require.Equal(t, "gpt-x", state.Model)
	require.Equal(t, 1, state.OutputCount)
	status, _ = postTo(t, a, "openai", thin, signedBy(t, "openai", "whsec_AAAA", thin))
	require.Equal(t, 401, status)

	status, answer = postTo(t, a, "thin", thin, signedBy(t, "openai", secret, thin))
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.Stored), answer.Result, "there is nobody to ask")
}

// A stranger who invents predictions has the provider asked a few times, and gets into the ring of
// refused deliveries, which nobody's webhooks are answered from.
func TestTheProviderKnowsNoSuchPrediction(t *testing.T) {
	address, _ := answering(t, nil)
	a := kindsApp(t, `
  luma: {kind: luma, api: {base_url: "`+address+`", key: env:SECRET, rate: 100/s}}
`)
	status, _ := postTo(t, a, "luma", `{"id":"invented","state":"completed"}`, nil)
	require.Equal(t, 200, status)
	require.Eventually(t, func() bool {
		var list adminapi.KeptList
		body := fetchFrom(t, a, "/api/v1/quarantine?place=refused", "").body
		return json.Unmarshal([]byte(body), &list) == nil && len(list.Entries) == 1 && list.Entries[0].Cause == bridge.CauseUnconfirmed
	}, 2*time.Minute, 200*time.Millisecond)
}

// Progress is passed on and not kept.
func TestProgressIsPassedOn(t *testing.T) {
	a := kindsApp(t, `
  replicate: {kind: replicate, secrets: [env:WHSEC]}
`)
	heard := make(chan *nats.Msg, 8)
	sub, err := a.store.consume.Conn().ChanSubscribe("hookspan.progress.replicate.*", heard)
	require.NoError(t, err)
	defer func() { _ = sub.Unsubscribe() }()
	require.NoError(t, a.store.consume.Conn().Flush())
	post := func(body string) (int, string) {
		status, answer := postTo(t, a, "replicate", body, signedBy(t, "replicate", sampleWhsec, body))
		return status, answer.Result
	}
	status, result := post(`{"id":"r1","status":"starting","output":null}`)
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.Stored), result)
	status, result = post(`{"id":"r1","status":"processing","output":["https://replicate.delivery/half.png"],"logs":"50%"}`)
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.ProgressOnly), result)
	told, err := bridge.ParseProgress((<-heard).Data)
	require.NoError(t, err)
	require.Equal(t, "processing", told.Status)
	status, result = post(`{"id":"r1","status":"succeeded","output":["https://replicate.delivery/whole.png"]}`)
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.Stored), result)
	state := awaited(t, a, "replicate", "r1")
	for _, e := range state.Events {
		require.NotEqual(t, bridge.StatusProcessing, e.Status, "nothing is kept of the progress")
	}
	require.Equal(t, "https://replicate.delivery/whole.png", state.Outputs[0].URL)
}

// A secret that travels in a header is kept nowhere, and what is in the quarantine can still be made
// an event of.
func TestASharedSecretIsNotKept(t *testing.T) {
	a := kindsApp(t, `
  shared: {kind: shared-secret, secrets: [env:SECRET], signature: {header: X-Hook-Token}, max_age: 1h}
`)
	stale := `{"id":"s1","status":"succeeded","completed_at":"2020-01-01T00:00:00Z"}`
	status, answer := postTo(t, a, "shared", stale, http.Header{"X-Hook-Token": {sampleSecret}})
	require.Equal(t, 200, status)
	require.Equal(t, "quarantined", answer.Result)
	status, _ = postTo(t, a, "shared", stale, http.Header{"X-Hook-Token": {sampleSecret + "x"}})
	require.Equal(t, 401, status)
	fresh := `{"id":"s2","status":"succeeded"}`
	status, answer = postTo(t, a, "shared", fresh, http.Header{"X-Hook-Token": {sampleSecret}})
	require.Equal(t, 200, status)
	require.Equal(t, string(bridge.Stored), answer.Result)
	awaited(t, a, "shared", "s2")

	var report adminapi.KeptReport
	require.Equal(t, 200, call(t, a, "/quarantine/reverify", `{"stream":"quarantine","accept_stale":true}`, &report))
	require.Equal(t, 1, report.Events)
	awaited(t, a, "shared", "s1")
	require.NoError(t, a.Stop())
	require.NoError(t, filepath.WalkDir(a.cfg.DataDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), sampleSecret) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	}))
}

// Predictions are submitted to providers whose API is known for that, and to no other.
func TestSubmittedToAnotherAPI(t *testing.T) {
	address, questions := answering(t, nil)
	a := kindsApp(t, `
  runpod: {kind: runpod, api: {base_url: "`+address+`", key: env:SECRET}}
`)
	status, text := answerOf(t, a, http.MethodPost, "/api/v1/predictions/runpod/a/model", `{}`, func(*http.Request, *http.Response) {})
	require.Equal(t, 400, status, string(text))
	require.Contains(t, string(text), "hookspan predictions watch")
	require.Zero(t, questions.Load())
}
