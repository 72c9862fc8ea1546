package consumertest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/consumertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEventHasWhatTheLiteralsSay(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ev := consumertest.Event(consumertest.Prediction{
		ID: "pred_9", Model: "google/nano-banana-pro/text-to-image", Outputs: []any{"https://cdn.get3w.com/a.png?x=1&y=2", map[string]any{"text": "b"}},
		Input: map[string]any{"prompt": "<cat>"}, CreatedAt: at, CompletedAt: at.Add(3 * time.Second), Inference: 2500 * time.Millisecond,
		Source: "other", ReceivedAt: at.Add(4 * time.Second), Query: map[string]string{"ref": "42"},
	})
	want := `{"id":"pred_9","model":"google/nano-banana-pro/text-to-image","status":"completed","input":{"prompt":"<cat>"},` +
		`"outputs":["https://cdn.get3w.com/a.png?x=1&y=2",{"text":"b"}],"timings":{"inference":2500},` +
		`"created_at":"2026-01-02T03:04:05Z","completed_at":"2026-01-02T03:04:08Z"}`
	require.Equal(t, want, string(ev.Body))
	require.Regexp(t, `^pred_9/completed/[0-9a-f]{16}$`, ev.ID)
	ev.ID, ev.Body = "", nil
	require.Equal(t, &bridge.Event{
		Source: "other", Type: "com.get3w.prediction.completed.v1", PredictionID: "pred_9", Model: "google/nano-banana-pro/text-to-image",
		Status: "completed", RawStatus: "completed", Origin: bridge.OriginWebhook, Time: at.Add(3 * time.Second), ReceivedAt: at.Add(4 * time.Second),
		ContentType: "application/json", Query: map[string]string{"ref": "42"},
	}, ev)
}

func TestEventDefaults(t *testing.T) {
	t.Parallel()
	ev := consumertest.Event(consumertest.Prediction{})
	require.Equal(t, `{"id":"pred_1","model":"get3w/flux-dev","status":"completed"}`, string(ev.Body)) //nolint:testifylint // byte for byte, not JSON for JSON
	require.Equal(t, "get3w", ev.Source)
	require.NotZero(t, ev.ReceivedAt)
	failed := consumertest.Event(consumertest.Prediction{Error: "no credit"})
	p, err := failed.Prediction()
	require.NoError(t, err)
	require.Equal(t, "failed", failed.Status)
	require.Equal(t, "no credit", p.Error)
	odd := consumertest.Event(consumertest.Prediction{Status: "on hold"})
	require.Equal(t, "on hold", odd.RawStatus)
	require.Equal(t, "on=20hold", odd.Status)
}

// The same fact is the same event, as with a bridge.
func TestEventID(t *testing.T) {
	t.Parallel()
	id := func(p consumertest.Prediction) string { return consumertest.Event(p).ID }
	one := id(consumertest.Prediction{Outputs: []any{"https://a/b?token=1"}})
	require.Equal(t, one, id(consumertest.Prediction{Outputs: []any{"https://a/b?token=2"}, CompletedAt: time.Now()}))
	require.NotEqual(t, one, id(consumertest.Prediction{Outputs: []any{"https://a/c"}}))
}

func TestEventThatNoBridgeWouldMake(t *testing.T) {
	t.Parallel()
	for _, p := range []consumertest.Prediction{
		{ID: strings.Repeat("x", 257)}, {Status: strings.Repeat("x", 65)}, {Outputs: []any{make(chan int)}}, {Source: "Not A Name"},
	} {
		require.Panics(t, func() { consumertest.Event(p) })
	}
}

func TestHandleReportsAPanic(t *testing.T) {
	t.Parallel()
	tried := consumertest.Handle(context.Background(), consumers.HandlerFunc(func(context.Context, *bridge.Event) error { panic("no") }), consumertest.Event(consumertest.Prediction{}))
	require.Equal(t, consumers.ActionRetry, tried.Action)
	require.Equal(t, "no", tried.Panic)
}
