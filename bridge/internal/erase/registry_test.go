package erase_test

import (
	"context"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// Each process hears of what another one erases, also one that starts later. The bucket has the
// hash and nothing else of the prediction.
func TestRegistry(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	first, second := erase.NewRegistry(b.JS, b.Names, zap.NewNop()), erase.NewRegistry(b.JS, b.Names, zap.NewNop())
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(ended)
		_ = second.Run(ctx, func(context.Context) { heard <- struct{}{} })
	}()
	require.NoError(t, first.Ready(ctx))
	require.False(t, first.Any())
	require.NoError(t, first.Put(ctx, erase.Target{Source: "get3w", ID: "pred_1"}, nil))
	require.NoError(t, first.Put(ctx, erase.Target{Source: "get3w", ID: "pred_1"}, []uint64{7, 9}))
	require.True(t, first.Has("get3w", "pred_1"))
	require.False(t, first.Has("get3w", "pred_2"))
	require.False(t, first.Has("other", "pred_1"))
	require.EqualValues(t, 2, first.ErasedEvents())
	require.True(t, first.ErasedEvent(9))
	<-heard
	require.True(t, second.Has("get3w", "pred_1"))

	third := erase.NewRegistry(b.JS, b.Names, zap.NewNop())
	require.NoError(t, third.Ready(ctx))
	require.True(t, third.Has("get3w", "pred_1"))
	require.EqualValues(t, 2, third.ErasedEvents())

	stream, err := b.JS.Stream(ctx, b.Names.ErasedStream())
	require.NoError(t, err)
	m, err := stream.GetLastMsgForSubject(ctx, b.Names.ErasedSubject(">"))
	require.NoError(t, err)
	require.Equal(t, b.Names.ErasedSubject(bridge.ErasedHash("get3w", "pred_1")), m.Subject)
	require.NotContains(t, string(m.Data), "pred_1")
	cancel()
	<-ended
}

// Several goroutines and processes erase the same prediction at once, as a call and what comes
// late do. No sequence is forgotten: it would be reported as a loss after the next start.
func TestRegistryIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var running, putting sync.WaitGroup
	of := erase.Target{Source: "get3w", ID: "pred_1"}
	const each = 10
	errs := make(chan error, 4*each)
	for process := range uint64(2) {
		r := erase.NewRegistry(b.JS, b.Names, zap.NewNop())
		running.Go(func() { _ = r.Run(ctx, func(context.Context) {}) })
		for caller := range uint64(2) {
			putting.Go(func() {
				for n := range uint64(each) {
					errs <- r.Put(ctx, of, []uint64{1 + n + each*(caller+2*process)})
				}
			})
		}
	}
	putting.Wait()
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	cancel()
	running.Wait()
	later := erase.NewRegistry(b.JS, b.Names, zap.NewNop())
	require.NoError(t, later.Ready(t.Context()))
	require.EqualValues(t, 4*each, later.ErasedEvents())
}

// A bucket that was made anew, or restored, takes what is erased again.
func TestRegistryOfAnotherBucket(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	r := erase.NewRegistry(b.JS, b.Names, zap.NewNop())
	of := erase.Target{Source: "get3w", ID: "pred_1"}
	require.NoError(t, r.Put(t.Context(), of, []uint64{1}))
	stream, err := b.JS.Stream(t.Context(), b.Names.ErasedStream())
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context()))
	require.NoError(t, r.Put(t.Context(), of, []uint64{2}))
	later := erase.NewRegistry(b.JS, b.Names, zap.NewNop())
	require.NoError(t, later.Ready(t.Context()))
	require.EqualValues(t, 2, later.ErasedEvents())
}

// Where nobody has made the bucket, nothing is erased, and nothing waits for it.
func TestRegistryWithoutABucket(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	r := erase.NewRegistry(x.JetStream(), bridge.Names{}, zap.NewNop())
	require.NoError(t, r.Ready(t.Context()))
	require.False(t, r.Has("get3w", "pred_1"))
	require.Error(t, r.Put(t.Context(), erase.Target{Source: "get3w", ID: "pred_1"}, nil))
}

// kept counts what gets through a gate.
type kept struct{ events, messages int }

func (k *kept) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	k.events++
	return bridge.Receipt{Result: bridge.Stored}, nil
}

func (k *kept) Store(context.Context, string, *nats.Msg) (bridge.Receipt, error) {
	k.messages++
	return bridge.Receipt{Result: bridge.Stored}, nil
}

func (k *kept) StoreAll(_ context.Context, _ string, msgs []*nats.Msg) []streams.Outcome {
	k.messages += len(msgs)
	out := make([]streams.Outcome, len(msgs))
	for i, m := range msgs {
		out[i].Receipt = bridge.Receipt{Result: bridge.Stored, Stream: m.Subject}
	}
	return out
}

// Nothing of an erased prediction gets through a gate, as an event, as a copy or as a delivery
// that became none; everything else does, in its order.
func TestGate(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	r, k := erase.NewRegistry(b.JS, b.Names, zap.NewNop()), &kept{}
	gate, blocks := erase.Gate{Publisher: k, Registry: r}, erase.BlockGate{Blocks: k, Registry: r}
	event := &bridge.Event{ID: "pred_erased/completed/0123456789abcdef", Source: "get3w", Type: "t", PredictionID: "pred_erased", Status: "completed"}
	other := *event
	other.PredictionID = "pred_other"
	again := &nats.Msg{Subject: b.Names.Again("team", b.Names.SubjectOf(event)), Header: nats.Header(event.Header())}
	quarantined := &nats.Msg{Subject: b.Names.Quarantine("get3w", "stale"), Data: []byte(`{"id":"pred_erased"}`)}
	require.NoError(t, r.Put(t.Context(), erase.Target{Source: "get3w", ID: "pred_erased"}, nil))

	receipt, err := gate.Publish(t.Context(), event)
	require.NoError(t, err)
	require.Equal(t, bridge.Erasure, receipt.Result)
	for _, m := range []*nats.Msg{again, quarantined} {
		receipt, err = gate.Store(t.Context(), "S", m)
		require.NoError(t, err)
		require.Equal(t, bridge.Erasure, receipt.Result)
	}
	require.Equal(t, kept{}, *k)
	receipt, err = gate.Publish(t.Context(), &other)
	require.NoError(t, err)
	require.Equal(t, bridge.Stored, receipt.Result)
	var results []bridge.Result
	for _, o := range blocks.StoreAll(t.Context(), "S", []*nats.Msg{{Subject: "a"}, quarantined, {Subject: "b"}}) {
		results = append(results, o.Receipt.Result)
	}
	require.Equal(t, []bridge.Result{bridge.Stored, bridge.Erasure, bridge.Stored}, results)
	require.Equal(t, kept{events: 1, messages: 2}, *k)
}

// What comes of an erased prediction from somebody who has not heard of it is removed from the
// stream once it is seen there.
func TestLateMessageIsErased(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	r := erase.NewRegistry(b.JS, b.Names, zap.NewNop())
	late := erase.NewLate(b.JS, r, zap.NewNop())
	go func() { _ = late.Run(t.Context()) }()
	event := &bridge.Event{ID: "p/completed/0123456789abcdef", Source: "get3w", Type: "t", PredictionID: "p", Status: "completed"}
	receipt, err := b.Publish(t.Context(), event)
	require.NoError(t, err)
	require.False(t, late.Erased(receipt.Stream, receipt.Sequence, "get3w", "p"))
	require.NoError(t, r.Put(t.Context(), erase.Target{Source: "get3w", ID: "p"}, nil))
	require.True(t, late.Erased(receipt.Stream, receipt.Sequence, "get3w", "p"))
	stream, err := b.JS.Stream(t.Context(), receipt.Stream)
	require.NoError(t, err)
	for {
		_, err := stream.GetMsg(t.Context(), receipt.Sequence)
		if err != nil {
			require.ErrorIs(t, err, jetstream.ErrMsgNotFound)
			break
		}
	}
	require.True(t, r.ErasedEvent(receipt.Sequence), "the loss is explained before it happens")
}
