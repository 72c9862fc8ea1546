package stream_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
	"github.com/hookspan/hookspan/internal/streams"
)

func kept(body string) *bridge.KeptDelivery {
	w := &bridge.KeptDelivery{
		Source: "get3w", Cause: "no_id", Detail: `"id" is missing`, ReceivedAt: time.Now().UTC(),
		RemoteAddr: "192.0.2.1", Body: []byte(body), BodyBytes: int64(len(body)),
	}
	w.AddProof("X-Get3w-Signature", []string{"aa"})
	return w
}

func walk(t *testing.T, s *stream.KeptStore, sel adminapi.KeptSelection) []adminapi.KeptEntry {
	t.Helper()
	var out []adminapi.KeptEntry
	require.NoError(t, s.Walk(context.Background(), sel, func(e adminapi.KeptEntry) error {
		out = append(out, e)
		return nil
	}))
	return out
}

func TestQuarantineOutlivesARestart(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	b := streamtest.StartIn(t, dir, streamtest.Config())
	q := stream.NewQuarantine(b.Publisher(), b.Names, &alarms{})
	first := kept("{}")
	receipt, err := q.Keep(ctx, first)
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Quarantined, Stream: "HOOKSPAN_QUARANTINE", Sequence: 1}, receipt)

	again := kept("{}") // the sender's retry
	again.ReceivedAt = again.ReceivedAt.Add(10 * time.Second)
	receipt, err = q.Keep(ctx, again)
	require.NoError(t, err)
	require.Equal(t, bridge.Receipt{Result: bridge.Quarantined, Stream: "HOOKSPAN_QUARANTINE", Sequence: 1}, receipt)
	require.Equal(t, 1, sum(t, q, "hookspan_quarantined_total"))

	b.Stop()
	b = streamtest.StartIn(t, dir, streamtest.Config())
	got := walk(t, stream.NewKeptStore(b.JS, b.Names), adminapi.KeptSelection{})
	require.Len(t, got, 1)
	require.Equal(t, adminapi.KeptEntry{Place: "quarantine", Sequence: 1, KeptDelivery: *first}, got[0])
	receipt, err = stream.NewQuarantine(b.Publisher(), b.Names, &alarms{}).Keep(ctx, again)
	require.NoError(t, err)
	require.EqualValues(t, 1, receipt.Sequence)
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_QUARANTINE"))
}

// What was answered 200 is never pushed out: a full quarantine refuses, says so,
// and leaves the events alone.
func TestFullQuarantineRefuses(t *testing.T) {
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config()) // 16 MiB of quarantine
	a := &alarms{}
	q := stream.NewQuarantine(b.Publisher(), b.Names, a)
	stored := 0
	for {
		_, err := q.Keep(ctx, kept(fmt.Sprint(stored)+strings.Repeat("x", 1<<20)))
		if err != nil {
			require.ErrorIs(t, err, bridge.ErrFull)
			break
		}
		stored++
		require.Less(t, stored, 17)
	}
	require.EqualValues(t, stored, b.Messages(t, "HOOKSPAN_QUARANTINE"))
	require.Equal(t, bridge.AlarmQuarantineFull, a.kinds()[0])
	_, err := b.Publisher().Publish(ctx, streamtest.Event("pred_1"))
	require.NoError(t, err)
}

// With an external NATS, a quarantine that is full holds up no event: neither by
// the breaker nor by the spool, which gets none of it while NATS says so itself.
func TestFullQuarantineHoldsUpNoEvent(t *testing.T) {
	ctx := context.Background()
	x := natstest.NewExternal(t, nil)
	x.Start()
	streamtest.Provision(t, x, streams.Config{MaxBytes: 64 << 20})
	url := x.URL()
	r := startRelay(t, t.TempDir(), url, stream.RelayConfig{})
	require.Eventually(t, r.js.Conn().IsConnected, patience, 10*time.Millisecond)
	q := stream.NewQuarantine(r.Relay, bridge.Names{}, r.alarms)
	big := strings.Repeat("x", 900<<10)
	var err error
	for i := 0; err == nil; i++ {
		_, err = q.Keep(ctx, kept(fmt.Sprint(i)+big))
	}
	require.ErrorIs(t, err, bridge.ErrFull)
	for i := range 20 {
		_, err = q.Keep(ctx, kept(fmt.Sprint("more", i)+big))
		require.ErrorIs(t, err, bridge.ErrFull)
	}
	require.Equal(t, bridge.Stored, r.publish(t, "beside"), "the breaker must not have opened")
	r.requireEmpty(t)
	require.NotContains(t, r.alarms.kinds(), bridge.AlarmSpoolStuck)

	// What was spooled while NATS was away is set aside when it does not fit.
	x.Stop()
	receipt, err := q.Keep(ctx, kept("away"+big))
	require.NoError(t, err)
	require.Equal(t, bridge.Quarantined, receipt.Result)
	require.Equal(t, bridge.Spooled, r.publish(t, "behind"))
	x.Start()
	require.Eventually(t, func() bool {
		state, err := r.spool.State(ctx)
		return err == nil && state.Messages == 1 && state.Stuck == 1
	}, patience, 10*time.Millisecond)
	require.Equal(t, []string{"beside", "behind"}, ids(stored(t, x.JetStream())))
	require.Contains(t, r.alarms.kinds(), bridge.AlarmSpoolStuck)
}

func TestKeptStore(t *testing.T) {
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	q := stream.NewQuarantine(b.Publisher(), b.Names, &alarms{})
	for i := range 6 {
		w := kept(fmt.Sprint(i))
		if i%2 == 1 {
			w.Cause = "stale"
		}
		if i == 4 {
			w.Source = "other"
		}
		_, err := q.Keep(ctx, w)
		require.NoError(t, err)
	}
	s := stream.NewKeptStore(b.JS, b.Names)
	bodies := func(sel adminapi.KeptSelection) string {
		var out bytes.Buffer
		for _, e := range walk(t, s, sel) {
			out.Write(e.Body)
		}
		return out.String()
	}
	for want, sel := range map[string]adminapi.KeptSelection{
		"012345": {},
		"135":    {Cause: "stale"},
		"4":      {Source: "other"},
		"":       {Source: "nobody"},
		"35":     {Place: "quarantine", Cause: "stale", After: 2},
		"15":     {Place: "quarantine", Sequences: []uint64{6, 2, 99, 5}, Cause: "stale"},
	} {
		require.Equal(t, want, bodies(sel))
	}
	require.Empty(t, bodies(adminapi.KeptSelection{Place: "refused"}))

	require.NoError(t, s.Remove(ctx, "quarantine", 3))
	require.ErrorIs(t, s.Remove(ctx, "quarantine", 3), bridge.ErrNotFound)
	require.ErrorIs(t, s.Remove(ctx, "quarantine", 99), bridge.ErrNotFound)
	_, err := s.Get(ctx, "quarantine", 3)
	require.ErrorIs(t, err, bridge.ErrNotFound)
	_, err = s.Get(ctx, "events", 1)
	require.ErrorIs(t, err, bridge.ErrNotFound)
	e, err := s.Get(ctx, "quarantine", 5)
	require.NoError(t, err)
	require.Equal(t, "other", e.Source)
	require.Equal(t, "01345", bodies(adminapi.KeptSelection{}))

	// Somebody else's message is no reason to stop, and can be seen to.
	_, err = b.JS.Publish(ctx, "hookspan.quarantine.get3w.own.words", []byte("foreign"))
	require.NoError(t, err)
	got := walk(t, s, adminapi.KeptSelection{Place: "quarantine", Sequences: []uint64{7}})
	require.Len(t, got, 1)
	require.True(t, got[0].Truncated)
	require.Contains(t, got[0].Detail, "not written by Hookspan")
}

// startRing runs a ring until the test ends, or the returned function is called.
func startRing(t *testing.T, store stream.BlockStorer, a bridge.Alarmer) (*stream.Refused, func()) {
	t.Helper()
	r := stream.NewRefused(store, bridge.Names{}, a, zap.NewNop())
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

// sum is what a counter comes to, over all labels or those with that value.
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
	b := streamtest.Start(t, streamtest.Config())
	a := &alarms{}
	r, stop := startRing(t, b.Publisher(), a)
	for i := range 20 {
		w := kept(fmt.Sprint(i))
		w.Cause = "not_authentic"
		r.Offer(w, func(w *bridge.KeptDelivery) { w.Cause, w.Detail = "wrong_signature", "are the secrets the same?" })
	}
	r.Offer(kept("a fault in the diagnosis"), func(*bridge.KeptDelivery) { panic("of what anybody wrote") })
	w := kept("big")
	w.Cause = "too_large"
	r.Offer(w, nil)
	stop()
	got := walk(t, stream.NewKeptStore(b.JS, b.Names), adminapi.KeptSelection{})
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
	for _, alarm := range a.all {
		require.Equal(t, bridge.AlarmRefused, alarm.Kind)
		causes[alarm.Subject]++
	}
	require.Contains(t, causes, "get3w.wrong_signature")
	require.LessOrEqual(t, len(a.all), 4, "at most one for a cause in a block")
	require.Contains(t, a.all[0].Text, "are the secrets the same? They are kept for a while")
}

// A flood fills its ring and nothing else: the ring turns within its bytes, the
// quarantine and the events take what they are given, and what is dropped is
// counted.
func TestFloodOfRefused(t *testing.T) {
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config()) // 16 MiB of ring
	p := b.Publisher()
	r, stop := startRing(t, p, &alarms{})
	q := stream.NewQuarantine(p, b.Names, &alarms{})
	const flood = 20_000
	for i := range flood {
		w := kept(fmt.Sprint(i) + strings.Repeat("x", 10_000))
		w.RemoteAddr = fmt.Sprintf("2001:db8:%x::1", i%50)
		r.Offer(w, nil)
		if i%1000 == 0 {
			_, err := p.Publish(ctx, streamtest.Event(fmt.Sprint(i)))
			require.NoError(t, err)
			_, err = q.Keep(ctx, kept(fmt.Sprint(i)))
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

// A real sender's whole backlog is kept; the second thousands of one address that
// floods are not, and take nothing from another.
func TestRefusedLimitsPerAddress(t *testing.T) {
	r := stream.NewRefused(nil, bridge.Names{}, &alarms{}, zap.NewNop())
	offer := func(n int, addr string) {
		for i := range n {
			w := kept(fmt.Sprint(i))
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
	offer(5000, "2001:db8:2::1") // what nobody writes yet is bounded too
	require.Positive(t, sum(t, r, "hookspan_refused_dropped_total", "waiting"))
}

// away fails until it is told that the store is back.
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
	b := streamtest.Start(t, streamtest.Config())
	store := &away{BlockStorer: b.Publisher()}
	r, _ := startRing(t, store, &alarms{})
	r.Offer(kept("a"), nil)
	r.Offer(kept("b"), nil)
	require.Eventually(t, func() bool { return store.tries.Load() > 0 }, 10*time.Second, time.Millisecond)
	store.back.Store(true)
	require.Eventually(t, func() bool { return b.Messages(t, "HOOKSPAN_REFUSED") == 2 }, 10*time.Second, 10*time.Millisecond)
	require.Zero(t, sum(t, r, "hookspan_refused_dropped_total"))
}

// At the end what cannot be written is counted, and does not hold up the end.
func TestRefusedEndWithoutTheStore(t *testing.T) {
	r, stop := startRing(t, &away{}, &alarms{})
	r.Offer(kept("a"), nil)
	stop()
	require.Equal(t, 1, sum(t, r, "hookspan_refused_dropped_total", "store"))
}

func BenchmarkOffer(b *testing.B) {
	r := stream.NewRefused(nil, bridge.Names{}, &alarms{}, zap.NewNop())
	w := kept(strings.Repeat("x", 1200))
	for b.Loop() {
		r.Offer(w, nil)
	}
}

// What the server cannot read in the middle of the quarantine does not hide what lies
// behind it.
func TestKeptWalkGoesOnBehindDamage(t *testing.T) {
	const count = 1000
	dir, cfg := t.TempDir(), streamtest.Config()
	cfg.Streams.MaxBytes = 1 << 30
	b := streamtest.StartIn(t, dir, cfg)
	body := make([]byte, 20<<10)
	for range count { // several blocks of the store
		_, err := b.JS.PublishAsync(b.Names.Quarantine("get3w", "no_id"), body)
		require.NoError(t, err)
	}
	<-b.JS.PublishAsyncComplete()
	require.NoError(t, os.Remove(filepath.Join(dir, "nats", "jetstream", "HOOKSPAN", "streams", "HOOKSPAN_QUARANTINE", "msgs", "2.blk")))
	for _, sel := range []adminapi.KeptSelection{{Place: adminapi.PlaceQuarantine}, {Source: "get3w"}} {
		visited, last := 0, uint64(0)
		require.NoError(t, stream.NewKeptStore(b.JS, b.Names).Walk(t.Context(), sel, func(e adminapi.KeptEntry) error {
			visited++
			last = e.Sequence
			return nil
		}))
		require.Less(t, visited, count, "something is damaged")
		require.EqualValues(t, count, last)
	}
}
