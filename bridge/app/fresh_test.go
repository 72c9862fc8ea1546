package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/natstest"
)

// All who ask at once share one question, and its error; one whose patience ends leaves.
func TestFresh(t *testing.T) {
	t.Parallel()
	questions, begun, release, wrong := atomic.Int64{}, make(chan struct{}), make(chan struct{}), errors.New("x")
	f := newFresh(func(ctx context.Context) (int, error) {
		_, limited := ctx.Deadline()
		require.True(t, limited)
		close(begun)
		<-release
		return int(questions.Add(1)), wrong
	})
	f.life = time.Hour
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			n, err := f.get(t.Context())
			require.Equal(t, 1, n)
			require.ErrorIs(t, err, wrong)
		})
	}
	<-begun
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := f.get(ended)
	require.ErrorIs(t, err, context.Canceled)
	close(release)
	all.Wait()
	require.EqualValues(t, 1, questions.Load())

	f.life, begun = 0, make(chan struct{})
	n, _ := f.get(t.Context())
	require.Equal(t, 2, n, "an old answer is none")
}

// Two hundred who look at a prediction ask NATS once for its consumers.
func TestTimelinesAskOnce(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	v, err := view.Open(view.Config{Path: t.TempDir() + "/view.db", Names: b.Names, JS: b.JS})
	require.NoError(t, err)
	t.Cleanup(func() { _ = v.Close() })
	_, err = b.Publisher().Publish(t.Context(), natstest.Event("pred"))
	require.NoError(t, err)
	states := newFresh(durables.New(b.JS, b.Names, nil).List)
	states.life = time.Hour
	k := known{View: v, past: await.NewPast(b.JS, b.Names), cfg: &config.Config{}, consumers: states.get}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- v.Run(ctx) }()
	require.Eventually(t, func() bool { return v.Folded(b.Names.EventsStream()) > 0 }, time.Minute, 10*time.Millisecond)

	requests, err := b.JS.Conn().SubscribeSync("$JS.API.CONSUMER.LIST.>")
	require.NoError(t, err)
	require.NoError(t, b.JS.Conn().Flush())
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			_, err := k.Timeline(t.Context(), "get3w", "pred", "")
			require.NoError(t, err)
		})
	}
	all.Wait()
	require.NoError(t, b.JS.Conn().Flush())
	n, _, err := requests.Pending()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	cancel()
	require.NoError(t, <-ran)
}
