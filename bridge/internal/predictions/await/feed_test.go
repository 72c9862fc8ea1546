package await_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

// Thousands of waiters cost one subscription, and none when nobody waits.
func TestThousandsCostOneSubscription(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.hub.SetIdleTimeout(time.Millisecond)
	require.Zero(t, b.consumers())
	const n = 2000
	waiting := make([]<-chan answer, n)
	for i := range waiting {
		done := make(chan answer, 1)
		go func() {
			s, err := b.hub.Wait(context.Background(), "get3w", fmt.Sprintf("pred_%d", i))
			done <- answer{s, err}
		}()
		waiting[i] = done
	}
	b.eventually(func() bool { return b.hub.Waiting() == n })
	b.eventually(func() bool { return b.consumers() == 1 })
	for i := range n {
		b.tell(fmt.Sprintf("pred_%d", i), "completed")
	}
	for i, done := range waiting {
		a := b.get(done)
		require.NoError(t, a.err)
		require.Equal(t, fmt.Sprintf("pred_%d", i), a.state.ID)
	}
	b.eventually(func() bool { return b.consumers() == 0 })
	done := b.wait(t.Context(), "again")
	b.tell("again", "completed")
	require.NoError(t, b.get(done).err)
}

// Messages that nats.go takes for words of the server end no subscription.
func TestWaiterBelievesNoPublisher(t *testing.T) {
	t.Parallel()
	b := setup(t)
	done := b.wait(t.Context(), "pred_1")
	stream, err := b.js.Stream(t.Context(), b.n.EventsStream())
	require.NoError(t, err)
	before := <-stream.ConsumerNames(t.Context()).Name()
	b.tellStatuses()
	b.tell("pred_1", "completed")
	require.NoError(t, b.get(done).err)
	require.Equal(t, before, <-stream.ConsumerNames(t.Context()).Name(), "it reads with the consumer of the begin")
}

// tellStatuses stores messages that nats.go takes for words of the server.
func (b *bench) tellStatuses() {
	b.t.Helper()
	for _, h := range natstest.StatusHeaders() {
		_, err := b.js.PublishMsg(context.Background(), &nats.Msg{Subject: b.n.Event("get3w", "completed", "m"), Header: h})
		require.NoError(b.t, err)
	}
}

func TestFollowTellsEachChangeAndProgress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.fold(b.tell("a/b", "created"))
	told := make(chan bridge.PredictionUpdate)
	done := make(chan error, 1)
	go func() {
		done <- b.hub.Follow(context.Background(), "get3w", "a/b", func(u bridge.PredictionUpdate) error {
			told <- u
			return nil
		})
	}()
	first := (<-told).State
	require.Equal(t, "created", first.Status)
	text, err := json.Marshal(bridge.Progress{Status: "processing", Progress: 0.5})
	require.NoError(t, err)
	require.NoError(t, b.js.Conn().Publish(b.n.Progress("get3w", "other"), text))
	require.NoError(t, b.js.Conn().Publish(b.n.Progress("get3w", "a/b"), []byte("half")))
	require.NoError(t, b.js.Conn().Publish(b.n.Progress("get3w", "a/b"), text))
	require.InDelta(t, 0.5, (<-told).Progress.Progress, 0)
	b.tell("a/b", "processing")
	require.Equal(t, "processing", (<-told).State.Status)
	b.tell("a/b", "completed")
	require.Equal(t, "completed", (<-told).State.Status)
	require.NoError(t, <-done)
	require.Len(t, first.Events, 1)
	require.Equal(t, "created", first.Status, "what was told stays")

	errEnough := errors.New("enough")
	b.fold(b.tell("c", "created"))
	require.ErrorIs(t, b.hub.Follow(t.Context(), "get3w", "c", func(bridge.PredictionUpdate) error { return errEnough }), errEnough)
}

// A waiter outlives an outage of NATS: it learns what was folded meanwhile, and later
// events.
func TestWaiterSurvivesARestartOfNATS(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	js := x.JetStream(nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1))
	pub := stream.NewPublisher(js, bridge.Names{})
	t.Cleanup(pub.Close)
	pub.SetFit(true)
	b := benchOn(t, js, pub)
	after, missed := b.told("after"), b.told("missed")

	x.Stop()
	x.Start()
	other := &bench{t: t, js: x.JetStream()}
	other.pub = stream.NewPublisher(other.js, bridge.Names{})
	t.Cleanup(other.pub.Close)
	other.pub.SetFit(true)
	// Stored and folded at any point of the recovery, the end wakes the waiter.
	b.fold(other.tell("missed", "completed"))
	require.Equal(t, "completed", <-missed)
	b.eventually(func() bool { return b.js.Conn().IsConnected() && b.consumers() == 1 })
	other.tell("after", "completed")
	require.Equal(t, "completed", <-after)
}

// told follows a created prediction and returns its later states, once it has read the
// first.
func (b *bench) told(id string) <-chan string {
	b.t.Helper()
	b.fold(b.tell(id, "created"))
	told := make(chan string, 4)
	go func() {
		defer close(told)
		_ = b.hub.Follow(b.t.Context(), "get3w", id, func(u bridge.PredictionUpdate) error {
			told <- u.State.Status
			return nil
		})
	}()
	require.Equal(b.t, "created", <-told)
	b.eventually(func() bool { return b.consumers() == 1 })
	return told
}

// Removing the consumers costs the waiters nothing.
func TestWaiterSurvivesThatItsConsumersAreRemoved(t *testing.T) {
	t.Parallel()
	b := setup(t)
	done := b.wait(t.Context(), "pred_1")
	st := b.n.EventsStream()
	s, err := b.js.Stream(t.Context(), st)
	require.NoError(t, err)
	names := s.ConsumerNames(t.Context())
	for name := range names.Name() {
		if err := b.js.DeleteConsumer(t.Context(), st, name); !errors.Is(err, jetstream.ErrConsumerNotFound) { // the hub is quick
			require.NoError(t, err)
		}
	}
	require.NoError(t, names.Err())
	b.fold(b.tell("pred_1", "completed")) // with or without a running subscription
	require.Equal(t, "completed", b.get(done).state.Status)
}

// A wait that begins while NATS is away fails.
func TestNobodyWaitsWithoutStreams(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	b := benchOn(t, x.JetStream(), nil)
	_, err := b.hub.Wait(t.Context(), "get3w", "pred_1")
	require.ErrorIs(t, err, bridge.ErrUnavailable)
	require.NotErrorIs(t, err, jetstream.ErrStreamNotFound)
}
