package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// handledFor is how long the events were handled that fill the stream: longer
	// than the time for which duplicates are known.
	handledFor = 3 * time.Hour
	// leastFull keeps the stream above the smallest limit that it can have.
	leastFull = 16 << 20
	// fullTo is which part of its limit they take, and nextPart how much comes after
	// them, as a part of them: more than there is room for.
	fullTo, nextPart = 0.78, 0.35
	// roomLasts is for how long there is room at the pace of what comes after them:
	// a janitor makes a round every 10 s, and needs one to see that it is time.
	roomLasts = 20 * time.Second
)

// fullStream fills the stream with events that a consumer handles, lets hours pass
// and has the limit just above them: what comes next has room only if they go.
func fullStream(ctx context.Context, l *lab) error {
	b, err := l.startEmbedded(ctx, l.path("data"))
	if err != nil {
		return err
	}
	w := &worker{audit: newAudit(l.writer, l.book)}
	work, err := w.begin(ctx, b)
	if err != nil {
		return err
	}
	l.send(ctx)
	used := uint64(0)
	for first := int(float64(l.events) / (1 + nextPart)); used < leastFull || l.book.snapshot().acknowledged < first; {
		if err := l.book.waitAcknowledged(ctx, l.book.snapshot().acknowledged+min(first, 1000)); err != nil {
			return err
		}
		info, err := streamState(ctx, work.nc)
		if err != nil {
			return err
		}
		used = info.State.Bytes
	}
	if err := errors.Join(l.rest(ctx), w.waitAll(ctx, l), work.end(), b.stop(ctx), age(l.path("data"), handledFor)); err != nil {
		return err
	}
	before := l.book.snapshot().acknowledged
	limit := int64(float64(used) / fullTo)
	l.note("%d handled events of %v ago take %.0f%% of the limit of %d MiB, %.0f%% of that come after them", before, handledFor, fullTo*100, limit>>20, nextPart*100)
	if b, err = l.startBridge(ctx, "bridge", fmt.Sprintf(embeddedConfig, l.path("data"), l.port, limit)); err != nil {
		return err
	}
	if work, err = w.begin(ctx, b); err != nil {
		return err
	}
	l.heal()
	l.rate = max(1, int(float64(before)/fullTo*(1-fullTo)/roomLasts.Seconds()))
	l.send(ctx)
	if err := errors.Join(l.book.waitAcknowledged(ctx, max(l.events, int(float64(before)*(1+nextPart)))), l.settle(ctx), w.waitAll(ctx, l), work.end()); err != nil {
		return err
	}
	if refused := l.book.snapshot().refused; refused["503"] > 0 {
		l.wrong("%d webhooks were refused by a stream that was full of handled events", refused["503"])
	}
	l.finding(w.result())
	l.note("stored counts what the consumer was given")
	return nil
}

// worker is a consumer of another team, which handles every event by looking at
// it. What it was given once may go.
type worker struct {
	mu    sync.Mutex
	audit *audit
	last  uint64 // sequence in the stream
}

// workerName is the worker's durable.
const workerName = "chaos-worker"

// workerRun is a worker at work on one bridge.
type workerRun struct {
	nc   *nats.Conn
	stop func()
}

func (w *worker) begin(ctx context.Context, b *hookspan) (*workerRun, error) {
	nc, err := b.connect(ctx)
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	durable, err := js.CreateConsumer(ctx, eventsStream, jetstream.ConsumerConfig{
		Durable: workerName, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000,
	})
	if err != nil {
		return nil, fmt.Errorf("making a durable: %w", err)
	}
	consuming, err := durable.Consume(w.handle)
	if err != nil {
		return nil, fmt.Errorf("reading from a durable: %w", err)
	}
	return &workerRun{nc: nc, stop: consuming.Stop}, nil
}

// handle looks at an event that it has not seen; one that is not acknowledged in
// time comes again.
func (w *worker) handle(msg jetstream.Msg) {
	meta, err := msg.Metadata()
	if err != nil {
		return
	}
	w.mu.Lock()
	if meta.Sequence.Stream > w.last {
		w.last = meta.Sequence.Stream
		w.audit.add(msg.Subject(), msg.Headers(), msg.Data())
	}
	w.mu.Unlock()
	_ = msg.Ack() // otherwise it comes again
}

func (w *worker) result() findings {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.audit.found.examples = nil
	return w.audit.result()
}

// waitAll waits until the worker has seen everything that was acknowledged, or the
// patience is at its end.
func (w *worker) waitAll(ctx context.Context, l *lab) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for w.result().lost > 0 {
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			l.finding(w.result())
			return fmt.Errorf("waiting until the consumer has handled %d events: %w", l.book.snapshot().acknowledged, err)
		}
	}
	return nil
}

// end has the worker's acknowledgements reach the server and ends its connection.
func (r *workerRun) end() error {
	r.stop()
	err := r.nc.FlushTimeout(time.Minute)
	r.nc.Close()
	return err
}
