package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bridgeOf returns a client of a fake bridge.
func bridgeOf(t *testing.T, handler http.HandlerFunc) *client.Client {
	t.Helper()
	return bridgeWith(t, client.Options{}, handler)
}

func bridgeWith(t *testing.T, o client.Options, handler http.HandlerFunc) *client.Client {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c, err := client.New(s.URL+"/", o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func state(status string) string {
	text, _ := json.Marshal(bridge.PredictionState{Source: "get3w", ID: "a", Status: status})
	return string(text)
}

func problem(w http.ResponseWriter, status int, detail string) {
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"status":%d,"detail":%q}`, status, detail)
}

func TestWatch(t *testing.T) {
	t.Parallel()
	at := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	c := bridgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		want := fmt.Sprintf(`{"model":"m","deadline":%q,"reference":"order 7","metadata":{"k":"v"}}`, at.Format(time.RFC3339))
		if r.Method != http.MethodPut || r.URL.EscapedPath() != "/api/v1/predictions/get3w/a%2Fb%3F%252F" || string(text) != want {
			problem(w, 400, r.URL.EscapedPath()+string(text))
			return
		}
		_, _ = io.WriteString(w, `{"result":"stored","id":"x"}`)
	})
	w, err := c.Watch(t.Context(), bridge.Watch{
		Source: "get3w", Prediction: "a/b?%2F", Model: "m", Deadline: at, Reference: "order 7", Metadata: map[string]string{"k": "v"},
	})
	require.NoError(t, err)
	require.Equal(t, &bridge.Watched{Result: bridge.Stored, ID: "x"}, w)
	_, err = c.Watch(t.Context(), bridge.Watch{Source: "get3w", Prediction: ".."})
	require.ErrorContains(t, err, "no prediction id")
}

// Await goes on while the bridge restarts or is busy, and while there is no end.
func TestAwaitGoesOn(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := bridgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := time.ParseDuration(r.URL.Query().Get("wait")); err != nil {
			problem(w, 400, err.Error())
			return
		}
		switch calls.Add(1) {
		case 1:
			problem(w, 503, "busy")
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			_, _ = io.WriteString(w, state("processing")) // the bridge is stopping
		case 4:
			_, _ = io.WriteString(w, state("completed")[:10])
			panic(http.ErrAbortHandler)
		default:
			_, _ = io.WriteString(w, state("completed"))
		}
	})
	s, err := c.Await(t.Context(), "get3w", "a")
	require.NoError(t, err)
	require.Equal(t, "completed", s.Status)
	require.EqualValues(t, 5, calls.Load())
}

func TestAwaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := bridgeOf(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, state("processing")) })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	s, err := c.Await(ctx, "get3w", "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, "processing", s.Status, "what was known last")
}

func TestErrors(t *testing.T) {
	t.Parallel()
	c := bridgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/predictions/get3w/limited":
			w.Header().Set("Retry-After", "17")
			problem(w, 429, "slower")
		case "/api/v1/predictions/get3w/moved":
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		case "/api/v1/predictions/get3w/page":
			_, _ = io.WriteString(w, "<html>")
		case "/api/v1/predictions/get3w/large":
			_, _ = io.WriteString(w, strings.Repeat(" ", 5<<20))
		default:
			problem(w, 404, "nothing is known")
		}
	})
	for id, want := range map[string]client.Error{
		"limited": {Status: 429, Detail: "slower", RetryAfter: 17 * time.Second},
		"moved":   {Status: 307}, "nobody": {Status: 404, Detail: "nothing is known"},
	} {
		_, err := c.Get(t.Context(), "get3w", id)
		var got *client.Error
		require.ErrorAs(t, err, &got)
		require.Equal(t, want, *got)
		_, err = c.Await(t.Context(), "get3w", id)
		require.ErrorAs(t, err, &got)
	}
	_, err := c.Get(t.Context(), "get3w", "page")
	require.ErrorContains(t, err, "admin address")
	_, err = c.Get(t.Context(), "get3w", "large")
	require.ErrorContains(t, err, "more than")
	_, err = c.Get(t.Context(), "Get3w", "a")
	require.ErrorIs(t, err, bridge.ErrName)
	for _, wrong := range []string{"", "127.0.0.1:8081", "ftp://x", "http://x?y", "://"} {
		_, err := client.New(wrong, client.Options{})
		require.ErrorContains(t, err, "write one such as", wrong)
	}
}

func TestFollowConnectsAgain(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := bridgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v1/predictions/get3w/a%2Fb/events" {
			problem(w, 400, r.URL.EscapedPath())
			return
		}
		_, _ = io.WriteString(w, ":\n\nevent: state\nid: 1\ndata: "+state("processing")+"\n\nevent: progress\ndata: {\"progress\":0.5}\n\nevent: other\ndata: 1\n\n")
		if calls.Add(1) > 1 {
			_, _ = io.WriteString(w, "event: state\ndata: "+state("completed")+"\n\n")
		}
	})
	var told []string
	err := c.Follow(t.Context(), "get3w", "a/b", func(u bridge.PredictionUpdate) error {
		if u.State != nil {
			told = append(told, u.State.Status)
		} else {
			told = append(told, fmt.Sprint(u.Progress.Progress))
		}
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{"processing", "0.5", "processing", "0.5", "completed"}, told)

	require.ErrorIs(t, c.Follow(t.Context(), "get3w", "a/b", func(bridge.PredictionUpdate) error { return io.EOF }), io.EOF)
	var answered *client.Error
	require.ErrorAs(t, c.Follow(t.Context(), "get3w", "b", nil), &answered)
	require.Equal(t, 400, answered.Status)
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	c := bridgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		const want = "POST /api/v1/predictions/get3w/black-forest-labs/flux%231.1 deadline=2026-01-31T12%3A00%3A00Z&meta.order=7&reference=a+b key-1 {\"prompt\":\"x\"}"
		if got := fmt.Sprintf("%s %s %s %s %s", r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("Idempotency-Key"), text); got != want {
			problem(w, 400, got)
			return
		}
		_, _ = io.WriteString(w, `{"source":"get3w","id":"p","model":"m","status":"created","estimated_duration":4.5,"replayed":true,"answer":{"code":200}}`)
	})
	r := client.SubmitRequest{
		Source: "get3w", Model: "black-forest-labs/flux#1.1", Input: json.RawMessage(`{"prompt":"x"}`), Deadline: at, Reference: "a b",
		Metadata: map[string]string{"order": "7"}, IdempotencyKey: "key-1",
	}
	s, err := c.Submit(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, &bridge.Submitted{
		Source: "get3w", ID: "p", Model: "m", Status: "created", EstimatedDuration: 4.5, Replayed: true, Answer: json.RawMessage(`{"code":200}`),
	}, s)
	for _, model := range []string{"", "a//b", "../x", "a/."} {
		wrong := r
		wrong.Model = model
		_, err := c.Submit(t.Context(), wrong)
		require.ErrorContains(t, err, "write one such as", model)
	}
	for input, why := range map[string]string{"": "not a JSON object", "[]": "not a JSON object", "null": "not a JSON object", `{"stream":true}`: "leave it out"} {
		r.Input = json.RawMessage(input)
		_, err = c.Submit(t.Context(), r)
		require.ErrorContains(t, err, why)
	}
}

// After a broken connection the provider may have accepted the prediction, so only a caller
// with an idempotency key may repeat it.
func TestSubmitIsNeverRepeated(t *testing.T) {
	t.Parallel()
	var submitted atomic.Int32
	c := bridgeOf(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method != http.MethodPost {
			_, _ = io.WriteString(w, state("processing"))
			return
		}
		submitted.Add(1)
		panic(http.ErrAbortHandler)
	})
	_, err := c.Get(t.Context(), "get3w", "a") // uses the connection again
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), client.SubmitRequest{Source: "get3w", Model: "m", Input: json.RawMessage(`{}`)})
	require.ErrorContains(t, err, "asking the bridge")
	require.EqualValues(t, 1, submitted.Load())
}

// Await respects Retry-After.
func TestAwaitComesAgainWhenItIsTold(t *testing.T) {
	t.Parallel()
	var first time.Time
	c := bridgeOf(t, func(w http.ResponseWriter, _ *http.Request) {
		if first.IsZero() {
			first = time.Now()
			w.Header().Set("Retry-After", "1")
			problem(w, 503, "busy")
			return
		}
		_, _ = io.WriteString(w, state("completed"))
	})
	_, err := c.Await(t.Context(), "get3w", "a")
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(first), time.Second)
}
