package source_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/consumers/consumertest"
	"github.com/hookspan/hookspan/internal/fakeget3w"
	"github.com/hookspan/hookspan/internal/signing"
)

func newSource(t *testing.T, secret string) *source.Source {
	t.Helper()
	s, err := source.New(source.Config{Name: "get3w", Kind: "get3w", Secrets: [][]byte{[]byte(secret)}})
	require.NoError(t, err)
	return s
}

// A webhook and a poll of the same end are one event.
func TestWebhookAndPollAreOneEvent(t *testing.T) {
	t.Parallel()
	arrived := make(chan source.Delivery, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- source.Delivery{
			Proof: bridge.Header{signing.Header: r.Header.Values(signing.Header)}, Body: body, ReceivedAt: time.Now(), Origin: bridge.OriginWebhook,
		}
	}))
	t.Cleanup(receiver.Close)
	provider, err := fakeget3w.New(fakeget3w.Config{Key: []byte("key"), Secret: []byte("secret"), Speed: 1_000})
	require.NoError(t, err)
	api := httptest.NewServer(provider.Handler())
	t.Cleanup(func() { provider.Close(); api.Close() })
	call := func(method, path, body string) (data json.RawMessage) {
		req, err := http.NewRequestWithContext(t.Context(), method, api.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer key")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		var answer struct{ Data json.RawMessage }
		require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
		return answer.Data
	}
	src := newSource(t, "secret")
	call(http.MethodPost, "/api/v3/get3w/flux-dev", `{"webhook_url":"`+receiver.URL+`"}`)
	posted, err := src.Accept(<-arrived)
	require.NoError(t, err)
	answer := call(http.MethodGet, "/api/v3/predictions/"+posted.PredictionID, "")
	polled, err := src.Read(source.Delivery{Body: answer, ReceivedAt: time.Now(), Origin: bridge.OriginPoll, AnyAge: true})
	require.NoError(t, err)
	require.Equal(t, posted.ID, polled.ID)
	require.Equal(t, posted.Time, polled.Time)
	require.NotEqual(t, string(posted.Body), string(polled.Body), "each answer signs the addresses of outputs anew")
}

// Package consumertest makes the same events as the bridge.
func TestEventsForTestsAreThoseOfTheBridge(t *testing.T) {
	t.Parallel()
	src := newSource(t, "secret")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, p := range []consumertest.Prediction{
		{},
		{ID: "a b/ü", Model: "google/nano-banana", Outputs: []any{"https://h/a.png?signed=1", "no address?x", 7, map[string]any{"b": 1, "a": "é"}}},
		{Error: "no credit <&>"},
		{Status: "on hold", CreatedAt: at},
		{CompletedAt: at, Inference: time.Second, Query: map[string]string{"ref": "7"}},
		{Status: "canceled"},
	} {
		made := consumertest.Event(p)
		read, err := src.Read(source.Delivery{
			Body: made.Body, ContentType: "application/json", ReceivedAt: made.ReceivedAt, Origin: bridge.OriginWebhook, Query: p.Query, AnyAge: true,
		})
		require.NoError(t, err)
		require.Equal(t, read.Time.UTC(), made.Time.UTC())
		read.Time = made.Time
		require.Equal(t, read, made)
	}
}
