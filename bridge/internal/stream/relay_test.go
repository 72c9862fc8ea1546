package stream_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/redial"
	"github.com/hookspan/hookspan/internal/streams"
)

const patience = time.Minute

type relay struct {
	*stream.Relay
	publisher *stream.Publisher
	spool     *stream.Spool
	js        *redial.JetStream
	alarms    *natstest.Alarms
	close     func()
}

// startRelay runs a relay on the folder, to a NATS that may be away.
func startRelay(t *testing.T, dir, url string, cfg stream.RelayConfig) *relay {
	t.Helper()
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	r := &relay{alarms: &natstest.Alarms{}}
	r.js, err = stream.OpenExternal(stream.ExternalConfig{URL: url}, "test", r.alarms, zap.NewNop())
	require.NoError(t, err)
	r.publisher = stream.NewPublisher(r.js, bridge.Names{})
	r.publisher.SetFit(true)
	r.spool, err = stream.OpenSpool(context.Background(), folder, stream.SpoolConfig{MaxBytes: 32 << 20}, zap.NewNop())
	require.NoError(t, err)
	r.Relay = stream.NewRelay(r.publisher, nil, r.spool, cfg, r.alarms, zap.NewNop())
	r.close = sync.OnceFunc(func() {
		r.Close(patience)
		r.publisher.Close()
		r.js.Close()
		r.spool.Close()
		_ = folder.Close()
	})
	t.Cleanup(r.close)
	return r
}

// publish publishes within an ingress's deadline, and returns the result.
func (r *relay) publish(t *testing.T, id string) bridge.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	receipt, err := r.Publish(ctx, natstest.Event(id))
	require.NoError(t, err)
	return receipt.Result
}

func (r *relay) requireEmpty(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		state, err := r.spool.State(context.Background())
		return err == nil && state.Messages == 0
	}, patience, 10*time.Millisecond)
}

// stored returns the events of the stream, in order.
func stored(t *testing.T, js jetstream.JetStream) []jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	st, err := js.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	c, err := js.OrderedConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.OrderedConsumerConfig{})
	require.NoError(t, err)
	it, err := c.Messages()
	require.NoError(t, err)
	defer it.Stop()
	var out []jetstream.Msg
	for range st.CachedInfo().State.Msgs {
		m, err := it.Next(jetstream.NextContext(ctx))
		require.NoError(t, err)
		out = append(out, m)
	}
	return out
}

func ids(msgs []jetstream.Msg) []string {
	var out []string
	for _, m := range msgs {
		out = append(out, m.Headers().Get("ce-subject"))
	}
	return out
}

// NATS was never reached since the start of the bridge: accepted events survive the process,
// and reach the stream unchanged, once, in order.
func TestRelayWithoutNATS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := natstest.NewExternal(t, nil)
	r := startRelay(t, dir, x.URL(), stream.RelayConfig{})
	want := []string{}
	for i := range 20 {
		id := fmt.Sprintf("pred_%02d", i)
		require.Equal(t, bridge.Spooled, r.publish(t, id))
		require.Equal(t, bridge.Duplicate, r.publish(t, id))
		want = append(want, id)
	}
	require.False(t, r.Available())
	require.Equal(t, map[string]float64{
		"hookspan_spool_messages": 20, "hookspan_spool_stuck_messages": 0, "hookspan_spool_max_bytes": 32 << 20,
		"hookspan_spool_drained_total": 0, "hookspan_nats_available": 0,
	}, scrape(t, r, "hookspan_spool_bytes", "hookspan_spool_oldest_seconds"))
	r.close()

	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	r = startRelay(t, dir, x.URL(), stream.RelayConfig{})
	r.requireEmpty(t)
	msgs := stored(t, x.JetStream())
	require.Equal(t, want, ids(msgs))
	e := natstest.Event("pred_00")
	require.Equal(t, e.Body, msgs[0].Data())
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", msgs[0].Subject())
	require.Equal(t, e.MsgID(), msgs[0].Headers().Get("Nats-Msg-Id"))
	lay, err := time.ParseDuration(msgs[0].Headers().Get("hookspan-spooled-for"))
	require.NoError(t, err)
	require.Positive(t, lay)
	for i, m := range msgs { // a batch of the drain's, if any
		require.Contains(t, []string{"", fmt.Sprint(i + 1)}, m.Headers().Get("Nats-Batch-Sequence"))
	}
	require.Equal(t, bridge.Duplicate, r.publish(t, "pred_07"), "the stream knows what came through the spool")
}

// scrape returns the collector's metrics; those in positive are only checked to be positive.
func scrape(t *testing.T, c prometheus.Collector, positive ...string) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(c))
	families, err := registry.Gather()
	require.NoError(t, err)
	out := map[string]float64{}
	for _, f := range families {
		value := f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		if slices.Contains(positive, f.GetName()) {
			require.Positive(t, value, f.GetName())
			continue
		}
		out[f.GetName()] = value
	}
	return out
}

// NATS goes and comes back while the bridge runs.
func TestRelayWhileNATSIsAway(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	r := startRelay(t, t.TempDir(), x.URL(), stream.RelayConfig{})
	require.Eventually(t, r.js.Conn().IsConnected, patience, 10*time.Millisecond)
	require.Equal(t, bridge.Stored, r.publish(t, "before"))
	x.Stop()
	require.Eventually(t, func() bool { return !r.js.Conn().IsConnected() }, patience, time.Millisecond)
	require.Equal(t, bridge.Spooled, r.publish(t, "during"))
	require.Equal(t, bridge.Spooled, r.publish(t, "before"), "it is not known here, and stored once all the same")
	x.Start()
	r.requireEmpty(t)
	require.Eventually(t, r.Available, patience, 10*time.Millisecond)
	require.Equal(t, bridge.Stored, r.publish(t, "after"))
	require.Equal(t, []string{"before", "during", "after"}, ids(stored(t, x.JetStream())))
}

// A NATS that takes a message without an answer may have it: the message goes into the spool,
// and is in the stream once, whatever became of the first copy.
func TestRelayUnansweredIsSpooled(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	proxy := natstest.NewProxy(t, x)
	r := startRelay(t, t.TempDir(), proxy.URL(), stream.RelayConfig{})
	require.Eventually(t, r.js.Conn().IsConnected, patience, 10*time.Millisecond)
	require.Equal(t, bridge.Stored, r.publish(t, "before"))
	proxy.Silence(true)
	for i := range 5 {
		require.Equal(t, bridge.Spooled, r.publish(t, fmt.Sprint("during_", i)))
	}
	require.False(t, r.Available(), "nobody waits any more for an answer that does not come")
	proxy.Silence(false)
	proxy.Cut()
	r.requireEmpty(t)
	require.Len(t, stored(t, x.JetStream()), 6)
}

func TestRelayLocalStoresInTheSpoolFirst(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	r := startRelay(t, t.TempDir(), x.URL(), stream.RelayConfig{Local: true})
	require.Eventually(t, r.js.Conn().IsConnected, patience, 10*time.Millisecond)
	require.Equal(t, bridge.Spooled, r.publish(t, "pred_1"))
	r.requireEmpty(t)
	require.Equal(t, []string{"pred_1"}, ids(stored(t, x.JetStream())))
}

func TestRelayRefusesWhenBothFail(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	r := startRelay(t, t.TempDir(), x.URL(), stream.RelayConfig{})
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		e := natstest.Event(fmt.Sprint("pred_", i))
		e.Body = make([]byte, 1<<20)
		_, err = r.Publish(context.Background(), e)
	}
	require.ErrorIs(t, err, bridge.ErrFull)
	require.Equal(t, []string{bridge.AlarmSpoolFull}, natstest.KindsOf(r.alarms.All()))
}

// A spooled event that NATS never takes delays nobody, is not lost, and is tried again by the
// next process.
func TestRelaySetsAsideWhatNATSNeverTakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const limit = 64 << 10
	x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = limit })
	r := startRelay(t, dir, x.URL(), stream.RelayConfig{})
	require.Equal(t, bridge.Spooled, r.publish(t, "first"))
	big := natstest.Event("big")
	big.Body = make([]byte, limit)
	_, err := r.Publish(context.Background(), big)
	require.NoError(t, err)
	require.Equal(t, bridge.Spooled, r.publish(t, "last"))

	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	require.Eventually(t, func() bool {
		state, err := r.spool.State(context.Background())
		return err == nil && state.Messages == 1 && state.Stuck == 1
	}, patience, 10*time.Millisecond)
	require.Equal(t, []string{"first", "last"}, ids(stored(t, x.JetStream())))
	require.Equal(t, []string{bridge.AlarmSpoolStuck}, natstest.KindsOf(r.alarms.All()))
	require.Equal(t, bridge.Stored, r.publish(t, "meanwhile"))

	r.close()
	for range 2 { // setting it aside again leaves it where it is
		r = startRelay(t, dir, x.URL(), stream.RelayConfig{})
		require.Eventually(t, func() bool { return len(r.alarms.All()) == 1 }, patience, 10*time.Millisecond)
		r.close()
	}
	x2 := natstest.NewExternal(t, nil)
	x2.Start()
	streamtest.Provision(t, x2, streams.Config{MaxBytes: 64 << 20})
	r = startRelay(t, dir, x2.URL(), stream.RelayConfig{})
	r.requireEmpty(t)
	msgs := stored(t, x2.JetStream())
	require.Equal(t, []string{"big"}, ids(msgs))
	require.Equal(t, big.MsgID(), msgs[0].Headers().Get("Nats-Msg-Id"))
	require.Len(t, msgs[0].Data(), limit)
}

// The relay leaves a server that is connected and serves nothing.
func TestRelayLeavesAServerThatDoesNotServe(t *testing.T) {
	t.Parallel()
	idle := natstest.NewExternal(t, func(o *server.Options) { o.JetStream = false })
	idle.Start()
	x := natstest.NewExternal(t, nil)
	r := startRelay(t, t.TempDir(), idle.URL()+","+x.URL(), stream.RelayConfig{})
	require.Eventually(t, r.js.Conn().IsConnected, patience, 10*time.Millisecond)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	require.Equal(t, bridge.Spooled, r.publish(t, "pred_1"))
	r.requireEmpty(t)
	require.Equal(t, x.URL(), r.js.Conn().ConnectedUrl())
	require.Equal(t, []string{"pred_1"}, ids(stored(t, x.JetStream())))
}

// A bridge that shuts down empties its spool if NATS is reachable.
func TestRelayCloseEmptiesTheSpool(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	r := startRelay(t, dir, x.URL(), stream.RelayConfig{Local: true})
	require.Eventually(t, r.js.Conn().IsConnected, patience, 10*time.Millisecond)
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() { _, _ = r.Publish(context.Background(), natstest.Event(fmt.Sprint("pred_", i))) })
	}
	all.Wait()
	r.close()
	require.Len(t, stored(t, x.JetStream()), 200)
}
