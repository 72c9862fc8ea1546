package backup

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// From one replica to three and back: everything is as it was, and so are the durables.
func TestThreeReplicasAndBack(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	store(t, s, event, "a", "b", "c", "d")
	reader, err := s.JS.CreateConsumer(t.Context(), s.Names.EventsStream(), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	for range 2 {
		m, err := reader.Next()
		require.NoError(t, err)
		require.NoError(t, m.DoubleAck(t.Context()))
	}
	dir, err := save(t, Source{JS: s.JS, Names: s.Names})
	require.NoError(t, err)

	three := natstest.StartCluster(t)[0].JetStream()
	_, err = restore(t, three, dir)
	require.NoError(t, err)
	events, err := three.Stream(t.Context(), s.Names.EventsStream())
	require.NoError(t, err)
	require.Equal(t, 3, events.CachedInfo().Config.Replicas)
	require.Len(t, events.CachedInfo().Cluster.Replicas, 2)
	require.Equal(t, []string{"a", "b", "c", "d"}, bodies(t, three, s.Names.EventsStream()))

	dir, err = save(t, Source{JS: three, Names: s.Names})
	require.NoError(t, err)
	one := empty(t).JetStream()
	_, err = restore(t, one, dir)
	require.NoError(t, err)
	again, err := one.Consumer(t.Context(), s.Names.EventsStream(), "c")
	require.NoError(t, err)
	require.EqualValues(t, 2, again.CachedInfo().AckFloor.Stream)
	m, err := again.Next()
	require.NoError(t, err)
	require.Equal(t, "c", string(m.Data()))
	require.Equal(t, []string{"a", "b", "c", "d"}, bodies(t, one, s.Names.EventsStream()))
}

// silent is a JetStream that leaves the first question about a stream and the first about a durable
// without an answer, as one without a leader does.
type silent struct {
	jetstream.JetStream

	stream, durable atomic.Bool
}

func (s *silent) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if s.stream.CompareAndSwap(false, true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	of, err := s.JetStream.Stream(ctx, name)
	return silentStream{of, s}, err
}

type silentStream struct {
	jetstream.Stream

	js *silent
}

func (s silentStream) Consumer(ctx context.Context, name string) (jetstream.Consumer, error) {
	if s.js.durable.CompareAndSwap(false, true) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Stream.Consumer(ctx, name)
}

// What is not answered, because a leader is not elected yet, is asked again.
func TestRestoreAsksAgain(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	store(t, s, event, "a")
	_, err := s.JS.CreateConsumer(t.Context(), s.Names.EventsStream(), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	dir, err := save(t, Source{JS: s.JS, Names: s.Names})
	require.NoError(t, err)
	b, err := Open(t.Context(), dir)
	require.NoError(t, err)
	js := &silent{JetStream: empty(t).JetStream()}
	require.NoError(t, NewTarget(js, small, func(string) {}).Restore(t.Context(), b))
	require.True(t, js.stream.Load() && js.durable.Load())
}
