//go:build unix

package ingress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/quarantine"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/streams"
)

const (
	webhookSecret = "benchmark-secret-of-no-worth"
	// prompt makes a webhook about as long as the provider's: 1.2 kB.
	prompt = "A lighthouse on a cliff above a stormy sea at dusk, painted in thick oil, warm light in its window."
)

// store makes webhook i durable. Each connection has one.
type store func(i int) error

// ways are the ways to store a webhook that [BenchmarkAccept] compares.
var ways = map[string]func(*acceptBench) []store{
	// The ingress as `serve` has it.
	"whole": func(a *acceptBench) []store {
		publisher := a.server.Publisher()
		refused := quarantine.NewRefused(publisher, a.server.Names, nothing{}, zap.NewNop())
		a.run(refused.Run)
		return a.connect(ingress.Deps{
			Publisher: publisher, Quarantine: quarantine.NewQuarantine(publisher, a.server.Names, nothing{}), Refused: refused, Alarms: nothing{},
		})
	},
	// The same ingress without a store.
	"no-publish": func(a *acceptBench) []store { return a.connect(nothingStored()) },
	// The same ingress with one publish for each event.
	"single": func(a *acceptBench) []store {
		deps := nothingStored()
		deps.Publisher = single{a.server.JS, a.server.Names}
		return a.connect(deps)
	},
	// A client without an ingress, with one publish for each event.
	"bare": func(a *acceptBench) []store {
		return a.publish(func(m *nats.Msg) error { return publish(a.b.Context(), a.server.JS, m) })
	},
	// A client without an ingress that commits all waiting events as one atomic batch.
	"bare-batched": func(a *acceptBench) []store {
		committer := batcher{a.server.JS, make(chan waiting, mostBatch)}
		a.run(committer.run)
		return a.publish(committer.store)
	},
}

// BenchmarkAccept compares ways to store webhooks in an embedded server that syncs before
// it acknowledges. One operation is one webhook; each connection sends the next one after
// the answer to the last. A quarter as many warm up.
func BenchmarkAccept(b *testing.B) {
	for _, conns := range []int{1, 16, 64, 256} {
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			b.Run(fmt.Sprintf("conns=%d/way=%s", conns, way), func(b *testing.B) {
				warm := b.N/4 + 1
				a := newAcceptBench(b, conns, warm+b.N)
				stores := ways[way](a)
				runtime.GC()
				a.send(stores, 0, warm)
				b.ResetTimer()
				took := a.send(stores, warm, warm+b.N)
				b.StopTimer()
				slices.Sort(took)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(took[len(took)/2].Seconds()*1000, "p50-ms")
				b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
			})
		}
	}
}

type acceptBench struct {
	b      *testing.B
	server *streamtest.Bench
	source *source.Source
	conns  int
	// slab holds the signed requests, all of one size, outside of Go's heap: so the garbage
	// collector runs as often as in a bridge.
	slab          []byte
	request, head int // sizes of a request and of its header, in bytes
	count         int
}

func newAcceptBench(b *testing.B, conns, count int) *acceptBench {
	a := &acceptBench{b: b, server: streamtest.Start(b, stream.EmbeddedConfig{Streams: streams.Config{MaxBytes: 10 << 30}}), conns: conns, count: count}
	kind, err := source.KindOf("get3w")
	require.NoError(b, err)
	a.source, err = source.New(source.Config{Name: "get3w", Kind: "get3w", Secrets: [][]byte{[]byte(webhookSecret)}})
	require.NoError(b, err)
	proof, at := kind.ProofHeaders()[0], time.Now().UTC().Format(time.RFC3339)
	for i := range count {
		body := fmt.Sprintf(`{"id":"pred_%016x","model":"get3w/flux-dev","status":"completed","input":{"prompt":"%s"},`+
			`"outputs":["https://cdn.get3w.com/outputs/%016[1]x/image-0.png"],"created_at":"%[3]s","completed_at":"%[3]s"}`, i, strings.Repeat(prompt, 8), at)
		header := fmt.Sprintf("POST /webhooks/get3w HTTP/1.1\r\nHost: hooks.example.com\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s: %s\r\n\r\n",
			len(body), proof, kind.Sign([]byte(body), []byte(webhookSecret)).Get(proof))
		if a.slab == nil {
			a.head, a.request = len(header), len(header)+len(body)
			a.slab, err = unix.Mmap(-1, 0, count*a.request, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, unix.Munmap(a.slab)) })
		}
		copy(a.at(i), header+body)
	}
	return a
}

func (a *acceptBench) at(i int) []byte { return a.slab[i*a.request : (i+1)*a.request] }

// send stores the webhooks and returns how long each took.
func (a *acceptBench) send(stores []store, from, to int) []time.Duration {
	took := make([]time.Duration, to-from)
	var next atomic.Int64
	var group errgroup.Group
	for _, store := range stores {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(took) {
					return nil
				}
				begin := time.Now()
				if err := store(from + i); err != nil {
					return err
				}
				took[i] = time.Since(begin)
			}
		})
	}
	require.NoError(a.b, group.Wait())
	return took
}

func (a *acceptBench) run(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	a.b.Cleanup(func() { cancel(); require.NoError(a.b, <-done) })
}

// connect serves an ingress and sends it the requests. Log lines are encoded as `serve`
// does, and dropped.
func (a *acceptBench) connect(deps ingress.Deps) (stores []store) {
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.Lock(zapcore.AddSync(io.Discard)), zap.InfoLevel))
	cfg := ingress.Config{
		Listen: "127.0.0.1:0", Deadline: 25 * time.Second, MaxBody: 4 << 20, MaxInFlight: 4096, MaxInFlightBytes: 256 << 20,
		MaxConnections: 10_000, IdleTimeout: time.Minute,
	}
	in, err := ingress.New(cfg, []ingress.Route{{Source: a.source}}, deps, log)
	require.NoError(a.b, err)
	a.run(in.Run)
	for range a.conns {
		conn, err := net.Dial("tcp", in.Addr().String())
		require.NoError(a.b, err)
		a.b.Cleanup(func() { _ = conn.Close() })
		answer := make([]byte, 4<<10)
		stores = append(stores, func(i int) error {
			if _, err := conn.Write(a.at(i)); err != nil {
				return err
			}
			for n := 0; !bytes.Contains(answer[:n], []byte(`"result":"stored"`)) || answer[n-1] != '\n'; {
				more, err := conn.Read(answer[n:])
				if err != nil {
					return fmt.Errorf("the ingress answered %q: %w", answer[:n], err)
				}
				n += more
			}
			return nil
		})
	}
	return stores
}

// publish has each connection publish the events that an ingress would make of the
// requests.
func (a *acceptBench) publish(publish func(*nats.Msg) error) []store {
	msgs := make([]*nats.Msg, a.count)
	kind, err := source.KindOf("get3w")
	require.NoError(a.b, err)
	for i := range msgs {
		body := a.at(i)[a.head:]
		e, err := a.source.Accept(source.Delivery{
			Proof: kind.Sign(body, []byte(webhookSecret)), Body: body, ContentType: "application/json", ReceivedAt: time.Now(),
			Origin: bridge.OriginWebhook, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
		})
		require.NoError(a.b, err)
		msgs[i] = message(a.server.Names, e)
	}
	return slices.Repeat([]store{func(i int) error { return publish(msgs[i]) }}, a.conns)
}

func message(names bridge.Names, e *bridge.Event) *nats.Msg {
	header := nats.Header(e.Header())
	header[bridge.HeaderMsgID] = []string{e.MsgID()}
	return &nats.Msg{Subject: names.SubjectOf(e), Header: header, Data: e.Body}
}

func publish(ctx context.Context, js jetstream.JetStream, m *nats.Msg) error {
	ack, err := js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err == nil && ack.Duplicate {
		err = errors.New("the event was stored before")
	}
	return err
}

type single struct {
	js    jetstream.JetStream
	names bridge.Names
}

func (s single) Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{Result: bridge.Stored}, publish(ctx, s.js, message(s.names, e))
}

// nothing answers at once and stores nothing.
type nothing struct{}

func nothingStored() ingress.Deps {
	return ingress.Deps{Publisher: nothing{}, Quarantine: nothing{}, Refused: nothing{}, Alarms: nothing{}}
}

func (nothing) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{Result: bridge.Stored}, nil
}

func (nothing) Keep(context.Context, *bridge.KeptDelivery) (bridge.Receipt, error) {
	return bridge.Receipt{Result: bridge.Quarantined}, nil
}

func (nothing) Offer(*bridge.KeptDelivery, func(*bridge.KeptDelivery)) {}

func (nothing) Raise(bridge.Alarm) {}
