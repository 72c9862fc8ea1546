package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/signing"
)

const (
	hookSecret = "the secret of the provider's account"
	// Tokens of a bridge that has some.
	readToken, actToken = "read-token-0123456789", "act-token-0123456789"
)

const withTokens = `, tokens: [
  {name: reader, scopes: [read], secret: env:READ_TOKEN},
  {name: oncall, scopes: [read, act, submit], secret: env:ACT_TOKEN}]`

// site is a bridge with its console, the services that it posts to, and a provider's outputs.
type site struct {
	t *testing.T
	// url is the address of the console.
	url  string
	hook string
	file string
	// text is the configuration without tokens: %s stands for them.
	text   string
	reload chan os.Signal
	token  string
	client *http.Client
	// outputs is the address of the provider's files.
	outputs string
}

// usual is what is forwarded, and how.
const usual = `start: all`

// start runs a bridge with the real listeners and NATS, whose consumer billing posts to a service
// that does not want some models. Tokens is empty, or a part of the configuration of admin such as
// withTokens.
func start(t *testing.T, tokens string) *site {
	t.Helper()
	return startWith(t, tokens, usual, serveTarget)
}

// startWith is start with other settings of the consumer billing, and another service.
func startWith(t *testing.T, tokens, billing string, serve http.HandlerFunc) *site {
	t.Helper()
	target := httptest.NewServer(serve)
	t.Cleanup(target.Close)
	outputs := httptest.NewServer(http.HandlerFunc(serveOutput))
	t.Cleanup(outputs.Close)
	dir := t.TempDir()
	s := &site{t: t, file: filepath.Join(dir, "hookspan.yaml"), reload: make(chan os.Signal), outputs: outputs.URL, client: &http.Client{
		Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	s.text = "data_dir: " + filepath.Join(dir, "data") + `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"%s}
nats: {listen: "", events: {max_bytes: 1GiB}}
sources: {get3w: {kind: get3w, secrets: [env:HOOK_SECRET], query: [ref, tenant]}}
consumers:
  archive: {kind: archive, hosts: ["127.0.0.1"], allow_private: true}
  billing: {kind: forward, url: "` + target.URL + `/billing", allow_private: true, secret: env:BILLING_SECRET, ` + billing + `}
  search-team: {kind: pull}
`
	s.write(tokens)
	if tokens != "" {
		s.token = actToken
	}
	cfg, err := config.Load(s.file)
	require.NoError(t, err)
	getenv := func(name string) (string, bool) {
		secret, ok := map[string]string{
			"HOOK_SECRET": hookSecret, "READ_TOKEN": readToken, "ACT_TOKEN": actToken, "BILLING_SECRET": "whsec_" + strings.Repeat("bm8g", 10),
		}[name]
		return secret, ok
	}
	a, err := app.New(cfg, app.Options{File: s.file, Getenv: getenv, Log: io.Discard, Reload: s.reload})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Stop()) })
	require.NoError(t, a.Start(t.Context()))
	s.url, s.hook = a.Ready().Admin, a.Ready().Webhooks["get3w"]
	return s
}

// in is the same site for a part of the test.
func (s *site) in(t *testing.T) *site {
	part := *s
	part.t = t
	return &part
}

// write writes the configuration, which is read again when somebody asks.
func (s *site) write(tokens string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.file, fmt.Appendf(nil, s.text, tokens), 0o600))
}

// serveTarget is a service that does not want some models.
func serveTarget(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("Ce-Model"), "broken") {
		http.Error(w, "no <b>such</b> customer 4711", http.StatusUnprocessableEntity)
	}
}

// serveOutput is a provider's store of outputs, and a site that links to the console.
func serveOutput(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/link" {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<link rel="icon" href="data:,"><a href="%s">look</a>`, html.EscapeString(r.URL.Query().Get("to")))
		return
	}
	if !strings.HasSuffix(r.URL.Path, ".png") {
		http.NotFound(w, r)
		return
	}
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	for i := range 64 * 48 {
		img.SetRGBA(i%64, i/64, color.RGBA{uint8(i % 64 * 4), uint8(i / 64 * 5), uint8(len(r.URL.Path) * 8), 255})
	}
	w.Header().Set("Content-Type", "image/png")
	_ = png.Encode(w, img)
}

// prediction is what a webhook tells.
type prediction struct {
	ID      string   `json:"id"`
	Model   string   `json:"model,omitempty"`
	Status  string   `json:"status"`
	Outputs []string `json:"outputs,omitempty"`
	Error   string   `json:"error,omitempty"`
	Extra   string   `json:"extra,omitempty"`
}

// send posts a webhook as the provider does. Query is that of the address, or empty.
func (s *site) send(p prediction, query url.Values) {
	s.t.Helper()
	body, err := json.Marshal(p)
	require.NoError(s.t, err)
	status := s.post(body, signing.Sign(body, []byte(hookSecret)), query)
	require.Equal(s.t, http.StatusOK, status)
}

func (s *site) post(body []byte, signature string, query url.Values) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.hook+"?"+query.Encode(), bytes.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(signing.Header, signature)
	return s.answer(req)
}

// answer returns the status of the answer.
func (s *site) answer(req *http.Request) int {
	s.t.Helper()
	status, _ := s.do(req)
	return status
}

func (s *site) do(req *http.Request) (status int, body string) {
	s.t.Helper()
	res, err := s.client.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(text)
}

// ask asks the API.
func ask[T any](s *site, path string) (out T) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+"/api/v1"+path, http.NoBody)
	require.NoError(s.t, err)
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	res, err := s.client.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return out
	}
	require.NoError(s.t, json.NewDecoder(res.Body).Decode(&out))
	return out
}

// tell changes something by the API.
func tell(s *site, path, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+"/api/v1"+path, strings.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	require.Equal(s.t, http.StatusOK, s.answer(req)/100*100, path)
}

// addedConsumer is one that no configuration names, so it can be removed.
const addedConsumer = "added"

// What fill sends.
const (
	filledPredictions = 15
	filledDead        = 3
	filledArchived    = 6
)

// begin sends one event, so that the console does not lead to the first run, and returns when the
// bridge knows of it.
func (s *site) begin() {
	s.t.Helper()
	s.send(prediction{ID: "pred_first", Status: "completed"}, nil)
	s.expects(1)
}

// expects waits until the bridge knows of so many predictions.
func (s *site) expects(n int64) {
	s.t.Helper()
	await(s.t, func() bool { return ask[adminapi.Status](s, "/status").Predictions.Expected == n }, "the bridge does not know of %d predictions", n)
}

// fill sends what a console shows: predictions of each status, outputs, dead letters, and
// deliveries that were quarantined or refused. It returns when all of that has been done.
func (s *site) fill() {
	s.t.Helper()
	models := []string{"black-forest-labs/flux-1.1-pro", "google/veo-3", "openai/whisper"}
	for i := range filledArchived {
		id := fmt.Sprintf("pred_%02d", i)
		s.send(prediction{ID: id, Model: models[i%len(models)], Status: "processing"}, nil)
		s.send(prediction{ID: id, Model: models[i%len(models)], Status: "completed", Outputs: []string{s.outputs + "/" + id + ".png"}}, url.Values{"ref": {fmt.Sprint("order-", i)}, "tenant": {"acme"}})
	}
	for i := range filledDead {
		s.send(prediction{ID: fmt.Sprint("pred_dead_", i), Model: "broken/model", Status: "failed", Error: fmt.Sprint("out of memory on gpu ", i)}, nil)
	}
	s.send(prediction{ID: "pred_open", Model: models[0], Status: "processing"}, nil)
	s.send(prediction{ID: "..", Model: models[1], Status: "canceled"}, nil) // an id that a browser takes for a step in a path
	for i, text := range strangers {
		s.send(prediction{ID: text + fmt.Sprint(i), Model: "broken/" + text, Status: "failed", Error: text, Extra: strings.Repeat(text, 1<<20/len(text))}, url.Values{"ref": {text}, "tenant": {text}})
	}
	stale, err := json.Marshal(map[string]string{"id": "pred_stale", "status": "completed", "completed_at": "2020-01-01T00:00:00Z"})
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, s.post(stale, signing.Sign(stale, []byte(hookSecret)), nil))
	broken := []byte(`{"id":"pred_unusable","status":"completed","<script>refused('ran')</script>"`)
	require.Equal(s.t, http.StatusOK, s.post(broken, signing.Sign(broken, []byte(hookSecret)), nil))
	require.Equal(s.t, http.StatusUnauthorized, s.post([]byte(`{"id":"pred_forged","status":"completed"}`), strings.Repeat("0", signing.Length), nil))
	want := figures{Predictions: filledPredictions, Stored: filledArchived, Dead: filledDead + uint64(len(strangers)), Quarantined: 2, Refused: 1}
	var got figures
	await(s.t, func() bool { got = s.figures(); return got == want }, "the bridge did not do what was sent: %+v", &got)
	tell(s, "/consumers", `{"name": "`+addedConsumer+`", "statuses": ["failed"], "start": "all"}`)
	tell(s, "/jobs", `{"kind": "reverify", "stream": "refused"}`)
	await(s.t, func() bool {
		jobs := ask[adminapi.JobList](s, "/jobs").Jobs
		return len(jobs) == 1 && jobs[0].State.Ended()
	}, "the job does not end")
}

// letter is the path of the dead letter of a prediction.
func (s *site) letter(prediction string) string {
	s.t.Helper()
	letters := ask[adminapi.DeadLetterList](s, "/dead?prediction="+url.QueryEscape(prediction)).Letters
	require.Len(s.t, letters, 1, "%q", prediction)
	return fmt.Sprint("/dead/", letters[0].Seq)
}

// job is the path of the one job.
func (s *site) job() string {
	s.t.Helper()
	return "/jobs/" + ask[adminapi.JobList](s, "/jobs").Jobs[0].ID
}

// figures are how much of what was sent has arrived where it belongs.
type figures struct {
	Predictions, Stored        int
	Dead, Quarantined, Refused uint64
}

func (s *site) figures() figures {
	s.t.Helper()
	status := ask[adminapi.Status](s, "/status")
	f := figures{Dead: status.Dead, Quarantined: status.Quarantined, Refused: status.Refused}
	for _, p := range ask[adminapi.PredictionList](s, "/predictions?limit=100").Predictions {
		f.Predictions++
		f.Stored += p.Stored
	}
	return f
}
