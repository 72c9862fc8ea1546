package stream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

// mute makes the stream send no answers, or send them again.
func mute(t *testing.T, b *streamtest.Bench, on bool) {
	t.Helper()
	ctx := context.Background()
	st, err := b.JS.Stream(ctx, events)
	require.NoError(t, err)
	cfg := st.CachedInfo().Config
	cfg.NoAck = on
	_, err = b.JS.UpdateStream(ctx, cfg)
	require.NoError(t, err)
}

// A batch without an answer may be stored, and is here: nobody is told so, and a caller that
// repeats its message gets a duplicate.
func TestBatchWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4, Timeout: 200 * time.Millisecond})
	mute(t, b, true)
	all := numbered("pred_", 50)
	for _, a := range g.together(context.Background(), all...) {
		require.ErrorIs(t, a.err, bridge.ErrUnknown)
		require.Nil(t, a.ack)
	}
	mute(t, b, false)
	require.Len(t, places(t, b.JS), 50)
	for _, a := range g.together(context.Background(), all...) {
		require.NoError(t, a.err)
		require.True(t, a.ack.Duplicate)
	}
	require.Len(t, places(t, b.JS), 50)
}

// The callers' time is over before that of the batch.
func TestCallerDoesNotWaitForTheBatch(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4, Timeout: time.Second})
	mute(t, b, true)
	g.Hold()
	ctx, cancel := context.WithCancel(context.Background())
	wait := g.bring(ctx, numbered("sent_", 10)...)
	require.Eventually(t, func() bool { return g.Queued() == 10 }, patience, time.Millisecond)
	g.LetGo()
	require.Eventually(t, func() bool { return b.Messages(t, events) == 10 }, patience, time.Millisecond)
	behind := g.bring(ctx, numbered("behind_", 3)...)
	require.Eventually(t, func() bool { return g.Queued() == 3 }, patience, time.Millisecond)
	cancel()
	for _, a := range wait() {
		require.ErrorIs(t, a.err, bridge.ErrUnknown)
	}
	for _, a := range behind() {
		require.ErrorIs(t, a.err, bridge.ErrUnavailable, "it was not in a batch yet")
	}
	require.Zero(t, g.Queued())
}

// A message whose time is over is not sent.
func TestOverBeforeItWasSent(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	ctx, cancel := context.WithCancel(context.Background())
	g.Hold()
	wait := g.bring(ctx, numbered("over_", 10)...)
	stay := g.bring(context.Background(), numbered("pred_", 5)...)
	require.Eventually(t, func() bool { return g.Queued() == 15 }, patience, time.Millisecond)
	cancel()
	for _, a := range wait() {
		require.ErrorIs(t, a.err, bridge.ErrUnavailable)
	}
	g.LetGo()
	require.Equal(t, 5, checkAnswers(t, b.JS, stay()))
	for _, a := range g.bring(ctx, "late")() {
		require.ErrorIs(t, a.err, bridge.ErrUnavailable)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	size := stream.MessageSize(stream.EventMessage(natstest.Event("pred_1")))
	for name, cfg := range map[string]stream.GroupConfig{"count": {MaxQueue: 5}, "bytes": {MaxQueueBytes: 5*size + size/2}} {
		cfg.BreakEven = 4
		g := startGroup(t, b.JS, cfg)
		g.Hold()
		wait := g.bring(context.Background(), numbered(name, 5)...)
		require.Eventually(t, func() bool { return g.Queued() == 5 }, patience, time.Millisecond)
		for _, a := range g.bring(context.Background(), name+"6")() {
			require.ErrorIs(t, a.err, bridge.ErrUnavailable)
		}
		g.LetGo()
		for _, a := range wait() {
			require.NoError(t, a.err)
		}
	}
	require.Len(t, places(t, b.JS), 10)
}

func TestCloseWhileTheyWait(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	g.Hold()
	wait := g.bring(context.Background(), numbered("pred_", 10)...)
	require.Eventually(t, func() bool { return g.Queued() == 10 }, patience, time.Millisecond)
	g.Close()
	for _, a := range append(wait(), g.bring(context.Background(), "late")()...) {
		require.ErrorIs(t, a.err, bridge.ErrUnavailable)
	}
	_, errs := g.CommitAll(context.Background(), nil)
	require.Empty(t, errs)
	require.Empty(t, places(t, b.JS))
}

// Closing it under load loses no acknowledged message.
func TestCloseInFlight(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{})
	wait := g.bring(context.Background(), numbered("pred_", 200)...)
	require.Eventually(t, func() bool { return b.Messages(t, events) > 0 }, patience, time.Millisecond)
	g.Close()
	answers := wait()
	for _, a := range answers {
		if a.err != nil {
			require.ErrorIs(t, a.err, bridge.ErrUnavailable)
		}
	}
	checkAnswers(t, b.JS, answers)
}

// The server ends while many wait, and comes back. Nobody waits for the time-out of a batch,
// nobody is told more than is known, and repeats succeed.
func TestServerEndsInBetween(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streamtest.Config().Streams)
	nc, err := stream.Connect(stream.ExternalConfig{URL: x.URL()}, "test", zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	g := startGroup(t, js, stream.GroupConfig{BreakEven: 4, Timeout: time.Minute})
	all := numbered("pred_", 1000)
	wait := g.bring(context.Background(), all...)
	require.Eventually(t, func() bool { return g.batched.Load() > 150 }, patience, time.Millisecond)
	x.Stop()
	answers := wait()
	x.Start()
	require.Eventually(t, g.Able, patience, time.Millisecond)
	at := places(t, js)
	acked, unknown := 0, 0
	for _, a := range answers {
		switch {
		case a.err == nil:
			acked++
			require.NotZero(t, at[a.id], "%s was acknowledged and is lost", a.id)
		case errors.Is(a.err, bridge.ErrUnknown):
			unknown++
		default:
			require.ErrorIs(t, a.err, bridge.ErrUnavailable)
			require.Zero(t, at[a.id], "%s is stored, and its caller was told that it is not", a.id)
		}
	}
	t.Logf("acknowledged %d, unknown %d, stored %d of %d", acked, unknown, len(at), len(all))
	for _, a := range g.bring(context.Background(), all...)() {
		require.NoError(t, a.err)
	}
	require.Len(t, places(t, js), len(all))
}
