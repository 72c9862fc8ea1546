package backup

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// cluster starts three servers and returns one that answers for all.
func cluster(t *testing.T) *natstest.External {
	t.Helper()
	var routes []*url.URL
	ports := []int{natstest.FreePort(t), natstest.FreePort(t), natstest.FreePort(t)}
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	var first *natstest.External
	for i, port := range ports {
		x := natstest.NewExternal(t, func(o *server.Options) {
			o.ServerName, o.Routes = fmt.Sprint("n", i), routes
			o.Cluster = server.ClusterOpts{Name: "three", Host: "127.0.0.1", Port: port}
		})
		x.Start()
		if first == nil {
			first = x
		}
	}
	js := first.JetStream()
	require.Eventually(t, func() bool { // every peer takes part
		_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "TRY", Replicas: 3})
		return err == nil
	}, time.Minute, 100*time.Millisecond)
	require.NoError(t, js.DeleteStream(t.Context(), "TRY"))
	return first
}

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

	three := cluster(t).JetStream()
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
