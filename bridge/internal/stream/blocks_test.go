package stream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

const events = "HOOKSPAN_EVENTS"

func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i)
	}
	return out
}

func messages(ids ...string) []*nats.Msg {
	out := make([]*nats.Msg, len(ids))
	for i, id := range ids {
		out[i] = stream.EventMessage(natstest.Event(id))
	}
	return out
}

// places returns the sequence of each prediction in the stream, and fails if the stream has one
// twice.
func places(t *testing.T, js jetstream.JetStream) map[string]uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := js.Stream(ctx, events)
	require.NoError(t, err)
	state := st.CachedInfo().State
	out := map[string]uint64{}
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := st.GetMsg(ctx, seq)
		require.NoError(t, err)
		id := m.Header.Get("ce-subject")
		require.Zero(t, out[id], "%s is stored twice", id)
		require.Equal(t, natstest.Event(id).Body, m.Data)
		out[id] = seq
	}
	return out
}

func cannotBatch(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	change(t, js, func(cfg *jetstream.StreamConfig) { cfg.AllowAtomicPublish = false })
}

func change(t *testing.T, js jetstream.JetStream, what func(*jetstream.StreamConfig)) {
	t.Helper()
	ctx := context.Background()
	st, err := js.Stream(ctx, events)
	require.NoError(t, err)
	cfg := st.CachedInfo().Config
	what(&cfg)
	_, err = js.UpdateStream(ctx, cfg)
	require.NoError(t, err)
}

// A block is stored in order, in batches or without, and repeated as after a crash.
func TestBlockIsStoredInOrder(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, atomic := range []bool{true, false} {
		b := streamtest.Start(t, streamtest.Config())
		if !atomic {
			cannotBatch(t, b.JS)
		}
		p := b.Publisher()
		p.SetTimeout(patience)
		for i, o := range p.StoreAll(ctx, events, messages(numbered("pred_", 2500)...)) {
			require.NoError(t, o.Err)
			require.Equal(t, bridge.Receipt{Result: bridge.Stored, Stream: events, Sequence: uint64(i + 1)}, o.Receipt)
		}
		if atomic {
			require.EqualValues(t, 3, p.Batches())
		} else {
			require.Zero(t, p.Batches())
		}
		at := places(t, b.JS)
		require.Len(t, at, 2500)
		for _, forgets := range []bool{false, true} {
			if forgets {
				p.Forget()
			}
			for i, o := range p.StoreAll(ctx, events, messages(numbered("pred_", 100)...)) {
				require.NoError(t, o.Err)
				require.Equal(t, bridge.Receipt{Result: bridge.Duplicate, Stream: events, Sequence: uint64(i + 1)}, o.Receipt)
			}
		}
		require.Len(t, places(t, b.JS), 2500)
	}
}

// One id that the stream has already, or that the block has twice, has an atomic batch refused
// whole: every message gets its own answer all the same.
func TestDuplicatesRefuseABatchAndNobody(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, known := range []int{1, 10, 99} {
		b := streamtest.Start(t, streamtest.Config())
		all := numbered("pred_", 100)
		for i := 0; i < len(all); i += known {
			_, err := b.JS.PublishMsg(ctx, stream.EventMessage(natstest.Event(all[i])))
			require.NoError(t, err)
		}
		before := places(t, b.JS)
		p := b.Publisher()
		outcomes := p.StoreAll(ctx, events, messages(append(all, "pred_50", "new", "new")...))
		at := places(t, b.JS)
		for i, id := range all {
			require.NoError(t, outcomes[i].Err)
			require.Equal(t, i%known == 0, outcomes[i].Receipt.Result == bridge.Duplicate, id)
			require.Equal(t, at[id], outcomes[i].Receipt.Sequence)
		}
		require.Equal(t, bridge.Duplicate, outcomes[100].Receipt.Result)
		require.Equal(t, bridge.Stored, outcomes[101].Receipt.Result)
		require.Equal(t, bridge.Duplicate, outcomes[102].Receipt.Result)
		require.Len(t, at, 101)
		for id, seq := range before {
			require.Equal(t, seq, at[id])
		}
		// Now the publisher knows them, and keeps them out of batches.
		sent := p.Batches()
		for _, o := range p.StoreAll(ctx, events, messages(append(numbered("more_", 50), all...)...)) {
			require.NoError(t, o.Err)
		}
		require.Equal(t, sent+1, p.Batches())
	}
}

// The stream has room for the beginning of a block only: every outcome is true.
func TestBlockThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for _, atomic := range []bool{true, false} {
		cfg := streamtest.Config()
		cfg.Streams.MaxBytes = 16 << 10
		b := streamtest.Start(t, cfg)
		if !atomic {
			cannotBatch(t, b.JS)
		}
		full, stored := 0, 0
		all := append(numbered("pred_", 100), "pred_0") // twice, so it is sent apart
		outcomes := b.Publisher().StoreAll(context.Background(), events, messages(all...))
		at := places(t, b.JS)
		for i, o := range outcomes {
			id := all[i]
			if i == 100 && o.Err != nil {
				require.ErrorIs(t, o.Err, bridge.ErrUnavailable, "it was not tried")
				continue
			}
			if o.Err == nil {
				require.Equal(t, at[id], o.Receipt.Sequence)
				if o.Receipt.Result == bridge.Stored {
					stored++
				}
				continue
			}
			require.Zero(t, at[id], id)
			if errors.Is(o.Err, bridge.ErrFull) {
				full++
			} else {
				require.ErrorIs(t, o.Err, bridge.ErrUnavailable, id)
			}
		}
		require.Len(t, at, stored)
		require.Positive(t, stored)
		require.Positive(t, full)
	}
}

// A message that is too large for the stream has only those behind it wait.
func TestOneOfABlockIsTooLarge(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	p := b.Publisher()
	msgs := messages(numbered("pred_", 60)...)
	msgs[30].Header["ce-model"] = []string{string(make([]byte, 65<<10))}
	outcomes := p.StoreAll(context.Background(), events, msgs)
	for i, o := range outcomes {
		switch {
		case i == 30:
			require.ErrorIs(t, o.Err, bridge.ErrTooLarge)
		case o.Err != nil:
			require.Greater(t, i, 18, "it is before those that were sent together with the large one")
			require.ErrorIs(t, o.Err, bridge.ErrUnavailable)
		}
	}
	for _, o := range p.StoreAll(context.Background(), events, append(msgs[:30:30], msgs[31:]...)) {
		require.NoError(t, o.Err)
	}
	require.Len(t, places(t, b.JS), 59)
}

// A block without an answer may be stored, and is here: nobody is told so, and its repetition
// gets duplicates.
func TestBlockWithoutAnswerIsUnknown(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, atomic := range []bool{true, false} {
		b := streamtest.Start(t, streamtest.Config())
		if !atomic {
			cannotBatch(t, b.JS)
		}
		p := b.Publisher()
		p.SetTimeout(100 * time.Millisecond)
		mute := func(on bool) { change(t, b.JS, func(cfg *jetstream.StreamConfig) { cfg.NoAck = on }) }
		mute(true)
		all := messages(numbered("pred_", 1200)...)
		for i, o := range p.StoreAll(ctx, events, all) {
			if i < 1000 {
				require.ErrorIs(t, o.Err, bridge.ErrUnknown)
			} else {
				require.ErrorIs(t, o.Err, bridge.ErrUnavailable, "it was not sent")
			}
		}
		mute(false)
		require.Eventually(t, func() bool { return b.Messages(t, events) == 1000 }, patience, time.Millisecond)
		p.SetTimeout(patience)
		for i, o := range p.StoreAll(ctx, events, all) {
			require.NoError(t, o.Err)
			require.Equal(t, i < 1000, o.Receipt.Result == bridge.Duplicate)
		}
		require.Len(t, places(t, b.JS), 1200)
		over, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, p.StoreAll(over, events, messages("late"))[0].Err, bridge.ErrUnavailable)
	}
}

// The server ends while a block is on its way, and comes back. Nobody waits for the time-out,
// nobody is told more than is known, and a repetition succeeds.
func TestServerEndsUnderABlock(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streamtest.Config().Streams)
	nc, err := stream.Connect(stream.ExternalConfig{URL: x.URL()}, "test", zap.NewNop())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	p := stream.NewPublisher(js, bridge.Names{})
	t.Cleanup(p.Close)
	p.SetFit(true)
	p.SetTimeout(patience)
	all := numbered("pred_", 20_000)
	told := make(chan []streams.Outcome, 1)
	go func() { told <- p.StoreAll(context.Background(), events, messages(all...)) }()
	require.Eventually(t, func() bool { return p.Batches() > 2 }, patience, time.Millisecond)
	x.Stop()
	outcomes := <-told
	x.Start()
	require.Eventually(t, nc.IsConnected, patience, time.Millisecond)
	at := places(t, js)
	for i, o := range outcomes {
		switch {
		case o.Err == nil:
			require.Equal(t, at[all[i]], o.Receipt.Sequence, "%s was acknowledged and is lost", all[i])
		case errors.Is(o.Err, bridge.ErrUnknown):
		default:
			require.ErrorIs(t, o.Err, bridge.ErrUnavailable)
			require.Zero(t, at[all[i]], "%s is stored, and its caller was told that it is not", all[i])
		}
	}
	for _, o := range p.StoreAll(context.Background(), events, messages(all...)) {
		require.NoError(t, o.Err)
	}
	require.Len(t, places(t, js), len(all))
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

// Somebody reverts the setting under the publisher: a refusal tells.
func TestStreamThatCannotBatchAnyMore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	p := b.Publisher()
	for _, round := range []string{"a", "b"} {
		for _, o := range p.StoreAll(ctx, events, messages(numbered(round, 40)...)) {
			require.NoError(t, o.Err)
		}
		if round == "a" {
			require.EqualValues(t, 1, p.Batches())
			cannotBatch(t, b.JS)
		}
	}
	require.Len(t, places(t, b.JS), 80)
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
	}, got)
}
