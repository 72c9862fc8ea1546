//go:build unix

package predictions

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

func benchRig(b *testing.B) (*streamtest.Bench, *Leader) {
	b.Helper()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 4 << 30
	bench := streamtest.Start(b, cfg)
	l := NewLeader(bench.JS, bench.Publisher(), Config{Names: bench.Names, Process: "bench", Keep: time.Hour, Alarms: &natstest.Alarms{}})
	l.lease = &lease{bucket: l.bucket, process: "bench", times: l.times}
	return bench, l
}

func storeAll(b *testing.B, bench *streamtest.Bench, stream string, msgs []*nats.Msg) {
	b.Helper()
	store := bench.Publisher()
	for from := 0; from < len(msgs); from += 5000 {
		for _, o := range store.StoreAll(b.Context(), stream, msgs[from:min(from+5000, len(msgs))]) {
			require.NoError(b, o.Err)
		}
	}
}

// BenchmarkFold folds two events of each of many predictions: running and ended. The other
// way only reads and acknowledges the same blocks. One operation is one event.
func BenchmarkFold(b *testing.B) {
	b.Run("way=fold", func(b *testing.B) {
		benchFold(b, func(t *leadership, block []read) error { return t.foldBlock(b.Context(), block) })
	})
	b.Run("way=pull", func(b *testing.B) { benchFold(b, func(*leadership, []read) error { return nil }) })
}

func benchFold(b *testing.B, fold func(*leadership, []read) error) {
	b.Helper()
	bench, l := benchRig(b)
	storeTwoEach(b, bench)
	require.NoError(b, l.lease.acquire(b.Context()))
	t := newLeadership(l)
	c, err := t.begin(b.Context())
	require.NoError(b, err)
	feed, err := newFeed(c, time.Minute, &t.foldedTo)
	require.NoError(b, err)
	defer feed.stop()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	blocks := make(chan events)
	processor := natstest.Processor()
	b.ResetTimer()
	group.Go(func() error { return t.read(ctx, feed, blocks) })
	for last := bench.Messages(b, bench.Names.EventsStream()); t.foldedTo.Load() < last; {
		require.NoError(b, l.lease.renew(b.Context()))
		got := <-blocks
		require.NoError(b, fold(t, got.reads))
		require.NoError(b, got.last.Ack())
		t.foldedTo.Store(got.last.meta.Sequence.Stream)
	}
	b.StopTimer()
	events := float64(t.foldedTo.Load())
	b.ReportMetric(float64((natstest.Processor()-processor).Microseconds())/events, "cpu-µs")
	b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
	cancel()
	_ = group.Wait() // it was stopped
}

// storeTwoEach stores two events of each of b.N/2 predictions, and some more.
func storeTwoEach(b *testing.B, bench *streamtest.Bench) {
	b.Helper()
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(b, err)
	prompt := strings.Repeat("A lighthouse on a cliff above a stormy sea at dusk. ", 18) // bodies of about 1.2 kB
	var msgs []*nats.Msg
	event := func(id int, rest string) {
		e, err := src.Read(source.Delivery{
			Body:       fmt.Appendf(nil, `{"id":"prediction-%d","model":"get3w/flux-dev-%d","input":{"prompt":%q},%s}`, id, id%100, prompt, rest),
			ReceivedAt: time.Now(), Origin: bridge.OriginWebhook, AnyAge: true,
		})
		require.NoError(b, err)
		header := nats.Header(e.Header())
		header[bridge.HeaderMsgID] = []string{e.MsgID()}
		msgs = append(msgs, &nats.Msg{Subject: bench.Names.SubjectOf(e), Header: header, Data: e.Body})
	}
	const apart = 2000 // predictions run at the same time
	for id := range b.N/2 + apart {
		event(id, running)
		if id >= apart {
			event(id-apart, finished)
		}
	}
	storeAll(b, bench, bench.Names.EventsStream(), msgs)
}

// BenchmarkLoadOpen measures the start of a leader: one operation reads 100,000 open
// predictions.
func BenchmarkLoadOpen(b *testing.B) {
	const predictions = 100_000
	bench, l := benchRig(b)
	var msgs []*nats.Msg
	for n := range predictions {
		id := fmt.Sprintf("prediction-%d", n)
		raw, err := json.Marshal(poller.Record{Source: "get3w", ID: id, Model: "get3w/flux-dev", FirstSeen: time.Now(), Sequence: uint64(n)})
		require.NoError(b, err)
		msgs = append(msgs, l.bucket.message(bridge.PredictionKey(bridge.KeyOpen, "get3w", id), raw, 0, 0))
	}
	storeAll(b, bench, bench.Names.PredictionsStream(), msgs)
	for b.Loop() {
		n, err := newLeadership(l).loadOpen(b.Context())
		require.NoError(b, err)
		require.Equal(b, predictions, n)
	}
}
