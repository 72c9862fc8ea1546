package natspull_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/internal/natspull"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// durable makes one of the events.
func durable(t *testing.T, b *natstest.Streams) natspull.Request {
	t.Helper()
	_, err := b.JS.CreateConsumer(t.Context(), b.Names.EventsStream(), jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	return natspull.Request{Stream: b.Names.EventsStream(), Consumer: "d", Messages: 100, Heartbeat: time.Second}
}

// Every stored message comes, once, whatever its headers say, and takes a verdict.
func TestStoredMessagesAreNoWords(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	r := durable(t, b)
	r.Messages = b.StoreStatuses(t, r.Stream, b.Names.Event("get3w", "completed", "m")) + 1
	_, err := b.Publish(t.Context(), natstest.Event("a"))
	require.NoError(t, err)
	var got []uint64
	require.NoError(t, natspull.Fetch(t.Context(), b.JS, r, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		require.NoError(t, err)
		got = append(got, meta.Sequence.Stream)
		return m.DoubleAck(t.Context())
	}))
	require.Len(t, got, r.Messages)
	require.IsIncreasing(t, got)
	c, err := b.JS.Consumer(t.Context(), r.Stream, r.Consumer)
	require.NoError(t, err)
	require.Zero(t, c.CachedInfo().NumAckPending)
	require.EqualValues(t, r.Messages, c.CachedInfo().AckFloor.Stream)
}

// What the server says of a request ends it, with or without an error.
func TestEndOfARequest(t *testing.T) {
	t.Parallel()
	b := natstest.Start(t)
	r := durable(t, b)
	none := func(jetstream.Msg) error { return errors.New("there is no message") }
	for _, patience := range []time.Duration{time.Nanosecond, 50 * time.Millisecond, 3 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := natspull.Fetch(ctx, b.JS, r, none); err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Nanosecond, patience)
		}
		cancel()
	}
	_, err := b.Publish(t.Context(), natstest.Event("a"))
	require.NoError(t, err)
	small := r
	small.Bytes = 1
	require.NoError(t, natspull.Fetch(t.Context(), b.JS, small, none), "the message is larger")
	wrong := errors.New("wrong")
	require.ErrorIs(t, natspull.Fetch(t.Context(), b.JS, r, func(jetstream.Msg) error { return wrong }), wrong)

	_, err = b.JS.CreateConsumer(t.Context(), r.Stream, jetstream.ConsumerConfig{Durable: "e", DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	r.Consumer = "e"
	done := make(chan error, 1)
	go func() { done <- natspull.Fetch(context.WithoutCancel(t.Context()), b.JS, r, none) }()
	require.Eventually(t, func() bool {
		c, err := b.JS.Consumer(t.Context(), r.Stream, "e")
		return err == nil && c.CachedInfo().NumWaiting == 1
	}, time.Minute, time.Millisecond)
	require.NoError(t, b.JS.DeleteConsumer(t.Context(), r.Stream, "e"))
	require.ErrorIs(t, <-done, jetstream.ErrConsumerDeleted)
	require.ErrorIs(t, natspull.Fetch(t.Context(), b.JS, r, none), nats.ErrNoResponders)

	b.NC.Close()
	require.ErrorIs(t, natspull.Fetch(t.Context(), b.JS, r, none), nats.ErrConnectionClosed)
}
