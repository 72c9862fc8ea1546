package quarantine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

func startRing(t *testing.T, store stream.BlockStorer, a bridge.Alarmer) (*quarantine.Refused, func()) {
	t.Helper()
	r := quarantine.NewRefused(store, bridge.Names{}, a, zap.NewNop())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return r, stop
}

// sum returns the sum of a counter over all labels, or over those with that value.
func sum(t *testing.T, r interface{ Collectors() []prometheus.Collector }, name string, labels ...string) int {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(r.Collectors()...)
	families, err := reg.Gather()
	require.NoError(t, err)
	total := 0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			matches := len(labels) == 0
			for _, l := range m.GetLabel() {
				matches = matches || l.GetValue() == labels[0]
			}
			if matches {
				total += int(m.GetCounter().GetValue())
			}
		}
	}
	return total
}

func TestRefusedAreKeptAndDiagnosed(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	a := &natstest.Alarms{}
	r, stop := startRing(t, b.Publisher(), a)
	for i := range 20 {
		w := streamtest.Kept(fmt.Sprint(i))
		w.Cause = "not_authentic"
		r.Offer(w, func(w *bridge.KeptDelivery) { w.Cause, w.Detail = "wrong_signature", "are the secrets the same?" })
	}
	r.Offer(streamtest.Kept("a fault in the diagnosis"), func(*bridge.KeptDelivery) { panic("of what anybody wrote") })
	w := streamtest.Kept("big")
	w.Cause = "too_large"
	r.Offer(w, nil)
	stop()
	got := walk(t, quarantine.NewKeptStore(b.JS, b.Names), adminapi.KeptSelection{})
	require.Len(t, got, 22)
	require.Equal(t, "refused", got[0].Place)
	require.Equal(t, "wrong_signature", got[0].Cause)
	require.Equal(t, "are the secrets the same?", got[0].Detail)
	require.Equal(t, "no_id", got[20].Cause, "kept as it came")
	require.Equal(t, "too_large", got[21].Cause)
	require.Equal(t, 20, sum(t, r, "hookspan_refused_kept_total", "wrong_signature"))
	require.Equal(t, 20, sum(t, r, "hookspan_refused_total", "not_authentic"))
	require.Zero(t, sum(t, r, "hookspan_refused_dropped_total"))
	causes := map[string]int{}
	for _, alarm := range a.All() {
		require.Equal(t, bridge.AlarmRefused, alarm.Kind)
		causes[alarm.Subject]++
	}
	require.Contains(t, causes, "get3w.wrong_signature")
	require.LessOrEqual(t, len(a.All()), 4, "at most one for a cause in a block")
	require.Contains(t, a.All()[0].Text, "are the secrets the same? They are kept for a while")
}

// A flood fills only the ring: the ring stays within its bytes, quarantine and events take new
// messages, and dropped deliveries are counted.
func TestFloodOfRefused(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config()) // 16 MiB of ring
	p := b.Publisher()
	r, stop := startRing(t, p, &natstest.Alarms{})
	q := quarantine.NewQuarantine(p, b.Names, &natstest.Alarms{})
	const flood = 8_000
	for i := range flood {
		w := streamtest.Kept(fmt.Sprint(i) + strings.Repeat("x", 10_000))
		w.RemoteAddr = fmt.Sprintf("2001:db8:%x::1", i%50)
		r.Offer(w, nil)
		if i%1000 == 0 {
			_, err := p.Publish(ctx, natstest.Event(fmt.Sprint(i)))
			require.NoError(t, err)
			_, err = q.Keep(ctx, streamtest.Kept(fmt.Sprint(i)))
			require.NoError(t, err)
		}
	}
	stop()
	require.EqualValues(t, flood/1000, b.Messages(t, "HOOKSPAN_EVENTS"))
	require.EqualValues(t, flood/1000, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	st, err := b.JS.Stream(ctx, "HOOKSPAN_REFUSED")
	require.NoError(t, err)
	require.LessOrEqual(t, st.CachedInfo().State.Bytes, uint64(16<<20))
	kept, dropped := sum(t, r, "hookspan_refused_kept_total"), sum(t, r, "hookspan_refused_dropped_total")
	require.Equal(t, flood, kept+dropped)
	require.Greater(t, dropped, flood/2)
	require.Equal(t, flood, sum(t, r, "hookspan_refused_total"))
}

// The whole backlog of a real sender is kept. A flood of one address is not, and takes nothing
// from another address.
func TestRefusedLimitsPerAddress(t *testing.T) {
	t.Parallel()
	r := quarantine.NewRefused(nil, bridge.Names{}, &natstest.Alarms{}, zap.NewNop())
	offer := func(n int, addr string) {
		for i := range n {
			w := streamtest.Kept(fmt.Sprint(i))
			w.RemoteAddr = addr
			r.Offer(w, nil)
		}
	}
	offer(1000, "192.0.2.1")
	require.Zero(t, sum(t, r, "hookspan_refused_dropped_total"))
	offer(3000, "2001:db8::1")
	offer(3000, "2001:db8::2") // the same /64
	dropped := sum(t, r, "hookspan_refused_dropped_total", "address")
	require.InDelta(t, 4000, dropped, 500, "what takes long earns a little more")
	offer(500, "2001:db8:1::1")
	require.Equal(t, dropped, sum(t, r, "hookspan_refused_dropped_total"))
	offer(5000, "2001:db8:2::1") // the queue is bounded too
	require.Positive(t, sum(t, r, "hookspan_refused_dropped_total", "waiting"))
}

// away fails until the store is back.
type away struct {
	stream.BlockStorer
	back  atomic.Bool
	tries atomic.Int32
}

func (s *away) StoreAll(ctx context.Context, st string, msgs []*nats.Msg) []streams.Outcome {
	s.tries.Add(1)
	if s.back.Load() {
		return s.BlockStorer.StoreAll(ctx, st, msgs)
	}
	out := make([]streams.Outcome, len(msgs))
	for i := range out {
		out[i].Err = bridge.ErrUnavailable
	}
	return out
}

func TestRefusedWaitForTheStore(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	store := &away{BlockStorer: b.Publisher()}
	r, _ := startRing(t, store, &natstest.Alarms{})
	r.Offer(streamtest.Kept("a"), nil)
	r.Offer(streamtest.Kept("b"), nil)
	require.Eventually(t, func() bool { return store.tries.Load() > 0 }, 10*time.Second, time.Millisecond)
	store.back.Store(true)
	require.Eventually(t, func() bool { return b.Messages(t, "HOOKSPAN_REFUSED") == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Zero(t, sum(t, r, "hookspan_refused_dropped_total"))
}

// At shutdown, entries that cannot be written are counted, and do not delay the end.
func TestRefusedEndWithoutTheStore(t *testing.T) {
	t.Parallel()
	r, stop := startRing(t, &away{}, &natstest.Alarms{})
	r.Offer(streamtest.Kept("a"), nil)
	stop()
	require.Equal(t, 1, sum(t, r, "hookspan_refused_dropped_total", "store"))
}

func BenchmarkOffer(b *testing.B) {
	r := quarantine.NewRefused(nil, bridge.Names{}, &natstest.Alarms{}, zap.NewNop())
	w := streamtest.Kept(strings.Repeat("x", 1200))
	for b.Loop() {
		r.Offer(w, nil)
	}
}
