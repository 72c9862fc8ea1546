//go:build unix

package consumers_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/natstest"
)

// benchDurable is the durable that reads.
const benchDurable = "bench"

// BenchmarkRead compares package consumers, with a handler that does nothing, with
// clients that do nothing with an event but acknowledge it. They read stored events of
// 100 models, in one process with a server that syncs before it acknowledges. One operation is one event; a
// quarter as many warm up.
func BenchmarkRead(b *testing.B) {
	ways := []struct {
		name string
		read func(context.Context, *readBench) error
	}{
		{"consumer", func(ctx context.Context, r *readBench) error { return r.consume(ctx, false) }},
		{"consumer-once", func(ctx context.Context, r *readBench) error { return r.consume(ctx, true) }},
		// One request for each event, so that no event waits, with its lease running,
		// for a goroutine that is busy.
		{"pull", func(ctx context.Context, r *readBench) error { return r.pull(ctx, r.subjects...) }},
		{"pull-one-subject", func(ctx context.Context, r *readBench) error { return r.pull(ctx, r.subjects[0]) }},
		{"pull-no-filter", func(ctx context.Context, r *readBench) error { return r.pull(ctx) }},
		// The client keeps events waiting for all goroutines.
		{"pull-buffered", func(ctx context.Context, r *readBench) error { return r.pullBuffered(ctx) }},
	}
	for _, workers := range []int{8, 64} {
		for _, way := range ways {
			b.Run(fmt.Sprintf("workers=%d/way=%s", workers, way.name), func(b *testing.B) {
				r := newReadBench(b, workers)
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- way.read(ctx, r) }()
				var begin, end usage
				for _, reached := range []struct {
					from chan usage
					to   *usage
				}{{r.begin, &begin}, {r.end, &end}} {
					select {
					case err := <-ended:
						b.Fatal("reading ended early: ", err)
					case *reached.to = <-reached.from:
					}
				}
				took, processor := end.at.Sub(begin.at), end.processor-begin.processor
				b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/op")
				b.ReportMetric(float64(b.N)/took.Seconds(), "events/s")
				b.ReportMetric(float64(processor.Microseconds())/float64(b.N), "cpu-µs")
				b.ReportMetric(natstest.PeakMiB(b), "peak-MiB")
				cancel()
				require.NoError(b, <-ended)
			})
		}
	}
}

// readBench is a server with stored events, and how many were read.
type readBench struct {
	b        *testing.B
	server   *natstest.Streams
	workers  int
	filter   bridge.Filter
	subjects []string // of the durable that package consumers makes

	warm, all  int64 // events
	read       atomic.Int64
	begin, end chan usage // when the first events, and when all of them were read
}

func newReadBench(b *testing.B, workers int) *readBench {
	x := natstest.NewExternal(b, func(o *server.Options) { o.SyncAlways = false }) // it is filled faster
	x.Start()
	r := &readBench{
		b: b, workers: workers, warm: int64(b.N/4 + 1), begin: make(chan usage, 1), end: make(chan usage, 1),
		filter: bridge.Filter{Statuses: []string{bridge.StatusCompleted}}, server: x.MakeStreams(x.InProcess()),
	}
	r.all = r.warm + int64(b.N)
	r.subjects, _ = r.filter.Subjects(r.server.Names)
	r.subjects = append(r.subjects, r.server.Names.AllAgain(benchDurable))
	r.fill()
	x.Stop()
	x.Change(func(o *server.Options) { o.SyncAlways = true })
	x.Start()
	r.server.JS = x.JetStream(x.InProcess())
	natstest.ForgetPeak(b)
	return r
}

// fill stores events of 100 models, with bodies of about 1.2 kB.
func (r *readBench) fill() {
	events, err := r.server.JS.Stream(r.b.Context(), r.server.Names.EventsStream())
	require.NoError(r.b, err)
	config := events.CachedInfo().Config
	config.MaxBytes = 1 << 30
	_, err = r.server.JS.UpdateStream(r.b.Context(), config)
	require.NoError(r.b, err)
	prompt := strings.Repeat("A lighthouse on a cliff above a stormy sea at dusk. ", 20)
	for i := range r.all {
		e := natstest.Event(fmt.Sprintf("pred_%016x", i))
		e.Model += fmt.Sprintf("-%d", i%100)
		e.Body = fmt.Appendf(nil, `{"id":%q,"model":%q,"status":"completed","input":{"prompt":%q},"outputs":["https://cdn.get3w.com/image-0.png"]}`, e.PredictionID, e.Model, prompt)
		header := nats.Header(e.Header())
		header[bridge.HeaderMsgID] = []string{e.MsgID()}
		_, err := r.server.JS.PublishMsgAsync(&nats.Msg{Subject: r.server.Names.SubjectOf(e), Header: header, Data: e.Body}, jetstream.WithStallWait(time.Minute))
		require.NoError(r.b, err)
	}
	<-r.server.JS.PublishAsyncComplete()
	require.EqualValues(r.b, r.all, r.server.Messages(r.b, r.server.Names.EventsStream()))
}

// usage is how much processor time this process had used at a time.
type usage struct {
	at        time.Time
	processor time.Duration
}

func usageNow() usage { return usage{time.Now(), natstest.Processor()} }

// count counts one event.
func (r *readBench) count() {
	switch r.read.Add(1) {
	case r.warm:
		r.begin <- usageNow()
	case r.all:
		r.end <- usageNow()
	}
}

// consume reads by package consumers. Log lines are encoded, as `serve` does, and dropped.
func (r *readBench) consume(ctx context.Context, once bool) error {
	handler := consumers.HandlerFunc(func(context.Context, *bridge.Event) error { r.count(); return nil })
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(zapcore.AddSync(io.Discard)), zap.InfoLevel)
	log := slog.New(zapslog.NewHandler(core))
	c, err := consumers.New(r.server.JS, handler, consumers.Config{
		Name: benchDurable, Filter: r.filter, Start: consumers.Start{All: true}, Concurrency: r.workers, Once: once, Logger: log,
	})
	if err != nil {
		return err
	}
	return c.Run(ctx)
}

func (r *readBench) durable(ctx context.Context, subjects ...string) (jetstream.Consumer, error) {
	return r.server.JS.CreateConsumer(ctx, r.server.Names.EventsStream(), jetstream.ConsumerConfig{
		Durable: benchDurable, FilterSubjects: subjects, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000,
	})
}

// pull has each worker ask for its next event.
func (r *readBench) pull(ctx context.Context, subjects ...string) error {
	durable, err := r.durable(ctx, subjects...)
	if err != nil {
		return err
	}
	var group errgroup.Group
	for range r.workers {
		messages, err := durable.Messages(jetstream.PullMaxMessages(1), jetstream.PullHeartbeat(500*time.Millisecond))
		if err != nil {
			return err
		}
		group.Go(func() error { return r.acknowledge(ctx, messages) })
	}
	return group.Wait()
}

// pullBuffered has all workers take events that the client keeps for them.
func (r *readBench) pullBuffered(ctx context.Context) error {
	durable, err := r.durable(ctx, r.subjects...)
	if err != nil {
		return err
	}
	messages, err := durable.Messages()
	if err != nil {
		return err
	}
	var group errgroup.Group
	for range r.workers {
		group.Go(func() error { return r.acknowledge(ctx, messages) })
	}
	return group.Wait()
}

// acknowledge acknowledges messages until ctx ends.
func (r *readBench) acknowledge(ctx context.Context, messages jetstream.MessagesContext) error {
	defer messages.Stop()
	for {
		m, err := messages.Next(jetstream.NextContext(ctx))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrNoHeartbeat):
			// Asked for the next message too early, the client (nats.go 1.55.0) at times
			// sends no request. It notices that only when no heartbeat comes.
			continue
		case err != nil:
			return err
		}
		r.count()
		if err := m.Ack(); err != nil {
			return err
		}
	}
}
