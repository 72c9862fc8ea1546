package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

const (
	apiSecret = "api-key-that-must-not-be-seen"
	pathToken = "path-token-that-must-not-be-seen"
)

// fakeAPI is a provider that accepts what has its key.
type fakeAPI struct {
	*httptest.Server

	mu     sync.Mutex
	bodies []map[string]any
	before func() // is called before it answers
}

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := &fakeAPI{before: func() {}}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Header.Get("Authorization") != "Bearer "+apiSecret {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"code":401,"message":"invalid key","data":null}`)
		return
	}
	var body map[string]any
	_ = json.NewDecoder(r.Body).Decode(&body)
	f.mu.Lock()
	f.bodies = append(f.bodies, body)
	before := f.before
	f.mu.Unlock()
	before()
	_, _ = io.WriteString(w, `{"code":200,"message":"success","data":{"id":"pred_1","status":"created"}}`)
}

func (f *fakeAPI) seen() []map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bodies
}

// submitConfig has the key in a file, and the path token too.
func submitConfig(f *fakeAPI) string {
	return strings.Replace(smallConfig, `ingress: {`, `ingress: {public_url: "https://hooks.example.com", `, 1) +
		"sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], path_token: file:token, query: [ref], api: {base_url: " + f.URL + "/api/v3, key: file:key}}}\n"
}

// submit posts a submission to the API.
func (p *program) submit(query string) (status int, text string) {
	p.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.ready.Admin+"/api/v1/predictions/get3w/get3w/flux-dev"+query, strings.NewReader(`{"prompt":"a cat"}`))
	require.NoError(p.t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(p.t, err)
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, string(answer)
}

// A bridge without its key takes webhooks, and submits once the key is there.
func TestSubmitWithAKeyThatComesLater(t *testing.T) {
	t.Parallel()
	f, dir := newFakeAPI(t), t.TempDir()
	put(t, dir, "token", pathToken)
	p := serve(t, dir, submitConfig(f))
	p.logged("NO API KEY")
	status, text := p.submit("")
	require.Equal(t, 503, status)
	require.Contains(t, text, "set sources.get3w.api.key")

	put(t, dir, "key", "wrong-key-that-must-not-be-seen\n")
	p.logged(`"secrets_changed":["sources.get3w.api.key"]`)
	status, text = p.submit("")
	require.Equal(t, 401, status)
	require.Contains(t, text, "invalid key")
	put(t, dir, "key", apiSecret+"\n")
	require.Eventually(t, func() bool { status, text = p.submit("?reference=order%201"); return status == 200 }, patience, 50*time.Millisecond, p.logs)
	var done bridge.Submitted
	require.NoError(t, json.Unmarshal([]byte(text), &done))
	require.Equal(t, "pred_1", done.ID)
	require.Equal(t, []map[string]any{{"prompt": "a cat", "webhook_url": "https://hooks.example.com/webhooks/get3w/" + pathToken + "?ref=order%201"}}, f.seen())
	events := p.events()
	require.Len(t, events, 1)
	require.Equal(t, "hookspan.events.get3w.watch.set.get3w.flux-dev", events[0].Subject())
	_, metrics := p.admin("/metrics")
	require.Contains(t, metrics, `hookspan_submits_total{result="accepted",source="get3w"} 1`)

	// A key that is gone again changes nothing, nor does one that cannot be.
	put(t, dir, "key", "")
	p.logged("cannot be used; what ran before goes on")
	put(t, dir, "token", "other~token")
	put(t, dir, "key", apiSecret)
	p.logged(`"sources_changed":["get3w"]`)
	status, _ = p.submit("")
	require.Equal(t, 200, status)
	require.Equal(t, "https://hooks.example.com/webhooks/get3w/other~token", f.seen()[1]["webhook_url"])

	put(t, dir, "hookspan.yaml", strings.Replace(submitConfig(f), "/api/v3", "/api/v4", 1))
	p.logged(`"keys":["sources.get3w.api.base_url"]`)

	// The webhook's address stays whole while it is that of the process.
	put(t, dir, "hookspan.yaml", strings.Replace(submitConfig(f), `public_url: "https://hooks.example.com", `, "", 1))
	p.logged(`"keys":["ingress.public_url"]`)
	put(t, dir, "token", "third~token")
	require.Eventually(t, func() bool {
		status, _ = p.submit("")
		bodies := f.seen()
		require.NotEqual(t, "https://hooks.example.com/webhooks/get3w", bodies[len(bodies)-1]["webhook_url"])
		return bodies[len(bodies)-1]["webhook_url"] == "https://hooks.example.com/webhooks/get3w/third~token"
	}, patience, 50*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)
	for _, hidden := range []string{apiSecret, pathToken, "wrong-key"} {
		require.NotContains(t, p.logs.String(), hidden)
	}
}

// A process that is told to end while the provider has a submission records it first.
func TestEndDuringASubmission(t *testing.T) {
	t.Parallel()
	f, dir := newFakeAPI(t), t.TempDir()
	put(t, dir, "token", pathToken)
	put(t, dir, "key", apiSecret)
	p := serve(t, dir, submitConfig(f))
	sent, answer := make(chan struct{}), make(chan struct{})
	f.before = func() { close(sent); <-answer }
	go func() {
		<-sent
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		for !strings.Contains(p.logs.String(), `"stopping"`) {
			<-time.After(10 * time.Millisecond)
		}
		<-time.After(time.Second) // more than everything else takes to end
		close(answer)
	}()
	status, text := p.submit("")
	require.Equal(t, 200, status, text)
	require.Equal(t, 0, p.wait(), p.logs)
	f.before = func() {}
	p = serve(t, dir, submitConfig(f))
	require.Len(t, p.events(), 1)
	require.Equal(t, 0, p.stop(), p.logs)
}

// A prediction that cannot be recorded is not paid for: nothing is submitted while neither NATS
// nor a journal takes anything.
func TestSubmitWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	for roles, want := range map[string]int{"[admin]": 503, "[ingress, admin]": 200} {
		f, dir := newFakeAPI(t), t.TempDir()
		put(t, dir, "token", pathToken)
		put(t, dir, "key", apiSecret)
		config := strings.NewReplacer("nats: {", `nats: {url: "nats://127.0.0.1:1", `, `listen: "127.0.0.1:0", events`, "events").Replace(submitConfig(f))
		p := serve(t, dir, "roles: "+roles+"\n"+config)
		status, text := p.submit("")
		require.Equal(t, want, status, text)
		if want == 503 {
			require.Contains(t, text, "Nothing was sent")
			require.Empty(t, f.seen())
		}
		require.Equal(t, 0, p.stop(), p.logs)
	}
}

// A process that neither polls nor serves operators needs no key.
func TestIngressNeedsNoKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "token", pathToken)
	p := serve(t, dir, "roles: [ingress]\n"+submitConfig(newFakeAPI(t)))
	require.NotContains(t, p.logs.String(), "NO API KEY")
	require.Equal(t, 0, p.stop(), p.logs)
}
