package stream_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

func messages(ids ...string) []*nats.Msg {
	out := make([]*nats.Msg, len(ids))
	for i, id := range ids {
		out[i] = stream.EventMessage(natstest.Event(id))
	}
	return out
}

// A block is stored in order, in batches or without.
func TestBlockIsStoredInOrder(t *testing.T) {
	t.Parallel()
	for _, breakEven := range []int{4, 100_000} {
		b := streamtest.Start(t, streamtest.Config())
		g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: breakEven, MaxBatch: 100})
		acks, errs := g.CommitAll(context.Background(), messages(numbered("pred_", 250)...))
		at := places(t, b.JS)
		for i := range acks {
			require.NoError(t, errs[i])
			require.EqualValues(t, i+1, acks[i].Sequence)
			require.Equal(t, acks[i].Sequence, at[fmt.Sprint("pred_", i)])
		}
		if breakEven == 4 {
			require.EqualValues(t, 3, g.batches.Load())
		} else {
			require.Zero(t, g.batches.Load())
		}
		// Again, as after a crash.
		acks, errs = g.CommitAll(context.Background(), messages(numbered("pred_", 260)...))
		for i := range acks {
			require.NoError(t, errs[i])
			require.EqualValues(t, i+1, acks[i].Sequence)
			require.Equal(t, i < 250, acks[i].Duplicate)
		}
		// The same id twice.
		acks, errs = g.CommitAll(context.Background(), messages("x", "y", "z", "x", "u", "v", "w"))
		for i := range acks {
			require.NoError(t, errs[i])
			require.Equal(t, i == 3, acks[i].Duplicate)
		}
		require.Len(t, places(t, b.JS), 266)
	}
}

// The stream has room for the beginning of a block only: every result is true.
func TestBlockThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, breakEven := range []int{4, 100_000} {
		cfg := streamtest.Config()
		cfg.Streams.MaxBytes = 16 << 10
		b := streamtest.Start(t, cfg)
		g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: breakEven, MaxBatch: 10})
		acks, errs := g.CommitAll(context.Background(), messages(numbered("pred_", 100)...))
		at := places(t, b.JS)
		full, behind := 0, 0
		for i, err := range errs {
			id := fmt.Sprint("pred_", i)
			if err == nil {
				require.Equal(t, at[id], acks[i].Sequence)
				continue
			}
			require.Zero(t, at[id], id)
			if full == 0 || behind == 0 && i%10 != 0 {
				require.ErrorIs(t, err, bridge.ErrFull, id)
				full++
			} else {
				require.ErrorIs(t, err, bridge.ErrUnavailable, id)
				behind++
			}
		}
		require.NotEmpty(t, at)
		require.Positive(t, full)
		require.Positive(t, behind)
	}
}

func TestBlockWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	for _, breakEven := range []int{4, 100_000} {
		b := streamtest.Start(t, streamtest.Config())
		g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: breakEven, MaxBatch: 10, Timeout: 100 * time.Millisecond})
		mute(t, b, true)
		_, errs := g.CommitAll(context.Background(), messages(numbered("pred_", 30)...))
		for i, err := range errs {
			if i < 10 {
				require.ErrorIs(t, err, bridge.ErrUnknown)
			} else {
				require.ErrorIs(t, err, bridge.ErrUnavailable)
			}
		}
		mute(t, b, false)
		require.Len(t, places(t, b.JS), 10)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, errs = g.CommitAll(ctx, messages("late"))
		require.ErrorIs(t, errs[0], bridge.ErrUnavailable)
	}
}

// StoreAll works on any stream, and returns an error when it does not exist.
func TestStoreAll(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	p := b.Publisher()
	for st, subject := range map[string]string{
		b.Names.RefusedStream():    "hookspan.refused.get3w.signature",
		b.Names.QuarantineStream(): "hookspan.quarantine.get3w.stale",
		b.Names.EventsStream():     "hookspan.events.get3w.prediction.completed.m",
	} {
		msgs := messages(numbered("pred_", 40)...)
		for _, m := range msgs {
			m.Subject = subject
		}
		outcomes := p.StoreAll(ctx, st, msgs)
		require.Len(t, outcomes, len(msgs))
		for i, o := range outcomes {
			require.NoError(t, o.Err)
			require.Equal(t, bridge.Receipt{Result: bridge.Stored, Stream: st, Sequence: uint64(i + 1)}, o.Receipt)
		}
		for _, o := range p.StoreAll(ctx, st, msgs) {
			require.Equal(t, bridge.Duplicate, o.Receipt.Result)
		}
		require.EqualValues(t, 40, b.Messages(t, st))
	}
	require.Empty(t, p.StoreAll(ctx, b.Names.EventsStream(), nil))

	// Another stream than the intended one.
	for _, o := range p.StoreAll(ctx, b.Names.RefusedStream(), messages(numbered("other_", 20)...)) {
		require.ErrorIs(t, o.Err, bridge.ErrUnavailable)
	}
	require.NoError(t, b.JS.DeleteStream(ctx, events))
	for _, o := range p.StoreAll(ctx, events, messages(numbered("gone_", 20)...)) {
		require.ErrorIs(t, o.Err, bridge.ErrUnavailable)
	}
	p.SetFit(false)
	require.ErrorIs(t, p.StoreAll(ctx, events, messages("unfit"))[0].Err, bridge.ErrUnavailable)
	p.SetFit(true)
	p.Close()
	require.ErrorIs(t, p.StoreAll(ctx, events, messages("closed"))[0].Err, bridge.ErrUnavailable)
	_, err := p.Publish(ctx, natstest.Event("closed"))
	require.ErrorIs(t, err, bridge.ErrUnavailable)
}

func TestCanBatch(t *testing.T) {
	t.Parallel()
	fit := jetstream.StreamConfig{AllowAtomicPublish: true, Replicas: 1, Storage: jetstream.FileStorage}
	for version, want := range map[string]bool{
		"2.15.0": true, "2.15.2-beta.1": true, "2.16.0": true, "3.0.0": true,
		"2.14.9": false, "2.9.25": false, "1.99.0": false, "": false, "dev": false,
	} {
		require.Equal(t, want, stream.CanBatch(fit, version), version)
	}
	for _, change := range []func(*jetstream.StreamConfig){
		func(c *jetstream.StreamConfig) { c.Replicas = 3 },
		func(c *jetstream.StreamConfig) { c.AllowAtomicPublish = false },
		func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage },
	} {
		c := fit
		change(&c)
		require.False(t, stream.CanBatch(c, "2.15.2"))
	}
}

// Somebody reverts the setting, which is noticed by asking or by a refusal.
func TestStreamThatCannotBatch(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	g := startGroup(t, b.JS, stream.GroupConfig{BreakEven: 4})
	st, err := b.JS.Stream(ctx, events)
	require.NoError(t, err)
	cfg := st.CachedInfo().Config
	cfg.AllowAtomicPublish = false
	_, err = b.JS.UpdateStream(ctx, cfg)
	require.NoError(t, err)
	for _, a := range g.together(ctx, numbered("pred_", 20)...) {
		require.NoError(t, a.err)
	}
	require.Eventually(t, func() bool { return !g.Able() }, patience, time.Millisecond)
	made := g.batches.Load()
	answers := g.bring(ctx, numbered("alone_", 100)...)()
	for _, a := range answers {
		require.NoError(t, a.err)
	}
	require.Equal(t, made, g.batches.Load())
	require.Len(t, places(t, b.JS), 120)

	cfg.AllowAtomicPublish = true
	_, err = b.JS.UpdateStream(ctx, cfg)
	require.NoError(t, err)
	g.Look()
	require.Eventually(t, g.Able, patience, time.Millisecond)
	for _, a := range g.together(ctx, numbered("again_", 20)...) {
		require.NoError(t, a.err)
	}
	require.Greater(t, g.batches.Load(), made)
}

func TestPublisherMetrics(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	p := b.Publisher()
	reg := prometheus.NewPedanticRegistry()
	for _, c := range p.Collectors() {
		require.NoError(t, reg.Register(c))
	}
	for range 2 {
		_, err := p.Publish(ctx, natstest.Event("pred_1"))
		require.NoError(t, err)
	}
	p.SetFit(false)
	_, err := p.Publish(ctx, natstest.Event("pred_2"))
	require.Error(t, err)
	families, err := reg.Gather()
	require.NoError(t, err)
	got := map[string]uint64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			got[key] = m.GetHistogram().GetSampleCount()
		}
	}
	require.Equal(t, map[string]uint64{
		"hookspan_publish_seconds stored HOOKSPAN_EVENTS":      1,
		"hookspan_publish_seconds duplicate HOOKSPAN_EVENTS":   1,
		"hookspan_publish_seconds unavailable HOOKSPAN_EVENTS": 1,
		"hookspan_publish_batch_messages":                      0,
		"hookspan_publish_queued":                              0,
	}, got)
}
