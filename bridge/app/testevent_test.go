package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

// call posts to the API.
func call(t *testing.T, a *App, path, body string, into any) int {
	t.Helper()
	status, text := answerOf(t, a, http.MethodPost, "/api/v1"+path, body, func(*http.Request, *http.Response) {})
	if status == http.StatusOK {
		require.NoError(t, json.Unmarshal(text, into), string(text))
	}
	return status
}

// A test event comes the way of a webhook, with the path token and through TLS too, and its
// prediction is known under the id that was answered.
func TestATestEventComesAsAWebhook(t *testing.T) {
	cert, key := certificatetest.Issue(t, t.TempDir(), 1)
	none := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(none, nil, 0o600))
	for name, ingress := range map[string]string{"plain": `ingress: {listen: "127.0.0.1:0"}`, "tls": `ingress: {listen: "127.0.0.1:0", tls: {cert: "` + cert + `", key: "` + key + `"}}`} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(freePorts, `ingress: {listen: "127.0.0.1:0"}`, ingress, 1) +
				"sources: {get3w: {secrets: [\"file:" + none + "\", env:GET3W_WEBHOOK_SECRET], path_token: env:GET3W_WEBHOOK_SECRET}, bare: {secrets: [\"file:" + none + "\"]}}\n"
			a, err := newTestApp(t, t.TempDir(), text)
			require.NoError(t, err)
			defer func() { require.NoError(t, a.Stop()) }()
			require.NoError(t, a.Start(t.Context()))
			var sent adminapi.TestEvent
			require.Equal(t, 200, call(t, a, "/test-events", `{"source":"get3w"}`, &sent))
			require.Equal(t, bridge.Stored, sent.Result)
			require.Regexp(t, `^test_[a-z0-9]{12}$`, sent.Prediction)
			var state bridge.PredictionState
			require.NoError(t, json.Unmarshal([]byte(fetchFrom(t, a, "/api/v1/predictions/get3w/"+sent.Prediction+"?wait=30s", "").body), &state))
			require.Equal(t, bridge.StatusCompleted, state.Status)
			require.Equal(t, "hookspan/test-event", state.Model)
			require.Equal(t, 404, call(t, a, "/test-events", `{"source":"nobody"}`, nil))
			require.Equal(t, 409, call(t, a, "/test-events", `{"source":"bare"}`, nil), "it refuses every webhook")
		})
	}
}

// A test event of every kind that a secret proves is stored, also where the configuration changes the
// signature; others say why there is none.
func TestATestEventOfEveryKind(t *testing.T) {
	secret, token := filepath.Join(t.TempDir(), "secret"), filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(secret, []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), 0o600))
	require.NoError(t, os.WriteFile(token, []byte("a-token-of-the-path"), 0o600))
	refused := map[string]string{
		"fal": "a key of its own", "kie": "is asked", "runpod": "is asked", "luma": "is asked", "kling": "is asked", "confirm": "is asked",
		"poll": "no webhooks", "runway": "no webhooks", "stability": "no webhooks",
	}
	text := freePorts + "sources:\n"
	for _, name := range source.Kinds() {
		kind, err := source.KindOf(name)
		require.NoError(t, err)
		options := "kind: " + name
		if kind.NeedsSecret() {
			options += `, secrets: ["file:` + secret + `"]`
		}
		if kind.Proof == nil && kind.Confirm == source.ConfirmNever && !kind.NoWebhook {
			options += `, path_token: "file:` + token + `"`
		}
		if kind.NoWebhook || kind.Confirm == source.ConfirmAlways {
			options += `, api: {key: "file:` + token + `", base_url: "http://127.0.0.1:1", result: "/p/{id}"}`
		}
		if name == "hmac" {
			options += `, signature: {header: X-Mine, signed: "{time}.{body}", time_header: X-Mine-Time}`
		}
		text += "  " + name + ": {" + options + "}\n"
	}
	text += `  shaped: {secrets: ["file:` + secret + `"], body: {id: /task/id}}` + "\n"
	a, err := newTestApp(t, t.TempDir(), text)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, a.Start(t.Context()))
	for _, name := range append(source.Kinds(), "shaped") {
		status, answer := answerOf(t, a, http.MethodPost, "/api/v1/test-events", `{"source":"`+name+`"}`, func(*http.Request, *http.Response) {})
		if why := refused[name]; why != "" || name == "shaped" {
			require.Equal(t, 409, status, "%s: %s", name, answer)
			require.Contains(t, string(answer), why)
			continue
		}
		require.Equal(t, 200, status, "%s: %s", name, answer)
		var sent adminapi.TestEvent
		require.NoError(t, json.Unmarshal(answer, &sent))
		require.Equal(t, bridge.Stored, sent.Result, name)
		require.Equal(t, sent.Prediction+"/completed/", sent.ID[:len(sent.Prediction)+len("/completed/")])
	}
}

// The provider is asked at once, and the end that it tells is an event like any other.
func TestAPersonAsksTheProvider(t *testing.T) {
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/predictions/ended":
			_, _ = w.Write([]byte(`{"code":200,"data":{"id":"ended","model":"get3w/flux-dev","status":"completed","outputs":["https://cdn.example.com/a.png"]}}`))
		case "/predictions/open":
			_, _ = w.Write([]byte(`{"code":200,"data":{"id":"open","model":"get3w/flux-dev","status":"processing"}}`))
		case "/predictions/wrong":
			_, _ = w.Write([]byte(`[]`))
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"code":404,"message":"there is no such prediction"}`))
		}
	}))
	defer provider.Close()
	a, err := newTestApp(t, t.TempDir(), freePorts+
		`sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], api: {key: env:GET3W_WEBHOOK_SECRET, base_url: "`+provider.URL+`"}}, bare: {secrets: [env:GET3W_WEBHOOK_SECRET]}}`+"\n")
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, a.Start(t.Context()))
	poll := func(source, id string) (polled adminapi.Polled, status int) {
		status = call(t, a, "/poll", `{"source":"`+source+`","prediction":"`+id+`"}`, &polled)
		return polled, status
	}
	polled, status := poll("get3w", "ended")
	require.Equal(t, 200, status)
	require.Equal(t, adminapi.PollEnded, polled.Result)
	require.Equal(t, bridge.Stored, polled.Stored)
	var state bridge.PredictionState
	require.NoError(t, json.Unmarshal([]byte(fetchFrom(t, a, "/api/v1/predictions/get3w/ended?wait=30s", "").body), &state))
	require.Equal(t, bridge.StatusCompleted, state.Status)
	require.Equal(t, bridge.OriginPoll, state.Origin)
	for id, want := range map[string]adminapi.PollResult{"open": adminapi.PollOpen, "nobody": adminapi.PollNotFound} {
		polled, status = poll("get3w", id)
		require.Equal(t, 200, status, id)
		require.Equal(t, want, polled.Result)
		require.Empty(t, polled.Stored)
	}
	for _, c := range []struct {
		source, id string
		status     int
	}{{"get3w", "ended", 409}, {"bare", "x", 409}, {"nobody", "x", 404}, {"get3w", "wrong", 502}} {
		_, status = poll(c.source, c.id)
		require.Equal(t, c.status, status, "%+v", c)
	}
}
