package erase_test

import (
	"context"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// An attempt whose handler returned just before the erasure is written down during it, in a
// place that was searched already. It is found at the end, and so is what that replaces.
func TestErasesWhatAttemptsWriteMeanwhile(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	ev := natstest.Event("pred_1")
	at := map[string]*nats.Msg{
		b.Names.DeadStream():     {Subject: b.Names.Dead("team", b.Names.SubjectOf(ev)), Header: nats.Header(ev.Header()), Data: ev.Body},
		b.Names.AttemptsStream(): {Subject: b.Names.AttemptsSubject("team.0123"), Data: []byte(`{"event":"` + ev.ID + `"}`)},
	}
	var write sync.Once
	remains := 0
	eraser := erase.New(erase.Config{
		Names: b.Names, JS: b.JS, Registry: erase.NewRegistry(b.JS, b.Names, zap.NewNop()), Publish: b.Publisher().Publish, Logger: zap.NewNop(),
		Forwarded: func(context.Context) error { return nil },
		Places: []erase.Place{
			{Name: "archive", Erase: func(ctx context.Context, _ *erase.Selection, _ bool) (n int, err error) {
				write.Do(func() {
					for _, m := range at {
						if _, err = b.JS.PublishMsg(ctx, m); err != nil {
							return
						}
					}
				})
				return 0, err
			}},
			{Name: "files", Remains: true, Erase: func(context.Context, *erase.Selection, bool) (int, error) { remains++; return 0, nil }},
		},
	})
	report, err := eraser.Prediction(t.Context(), ev.Source, ev.PredictionID, false)
	require.NoError(t, err)
	require.True(t, report.Complete, "%+v", report)
	for name := range at {
		stream, err := b.JS.Stream(t.Context(), name)
		require.NoError(t, err)
		require.Zero(t, stream.CachedInfo().State.Msgs, name)
	}
	counts := map[string]int{}
	for _, p := range report.Places {
		counts[p.Place] += p.Count
	}
	require.Equal(t, 1, counts[b.Names.DeadStream()])
	require.Equal(t, 1, counts[b.Names.AttemptsStream()])
	require.Equal(t, 4, remains, "each pass erases and searches")

	report, err = eraser.Prediction(t.Context(), ev.Source, ev.PredictionID, false)
	require.NoError(t, err)
	require.True(t, report.Complete)
	require.Equal(t, 6, remains, "nothing was written meanwhile")
}
