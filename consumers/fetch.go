package consumers

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/backoff"
)

const bindTimeout = 10 * time.Second

var bindRetry = Retry{First: 250 * time.Millisecond, Max: 10 * time.Second}

// delivery is one message with the durable's state and the attempt records that belong to it.
type delivery struct {
	msg     jetstream.Msg
	bound   binding
	records *attemptrecord.Store
}

// fetcher brings events to the workers of a consumer. The fetcher never asks for more events
// than workers wait: the lease of an event would run while the event waits for a busy worker.
type fetcher struct {
	*Consumer

	idle   chan struct{} // one for each worker that begins to wait
	events chan delivery // to workers that wait; closed when there will be no more
	free   int           // waiting workers that were counted
}

func (c *Consumer) newFetcher() *fetcher {
	return &fetcher{Consumer: c, idle: make(chan struct{}, c.cfg.Concurrency), events: make(chan delivery)}
}

func (f *fetcher) run(ctx context.Context) {
	defer close(f.events)
	for failures := 0; ctx.Err() == nil; {
		err := f.fetch(ctx, &failures)
		if errors.Is(err, errMoved) {
			continue
		}
		if ctx.Err() == nil {
			failures++
			delay := bindRetry.backoff(failures)
			f.log.Error("cannot fetch events, trying again", slog.Any("error", err), slog.Duration("in", delay))
			backoff.Sleep(ctx, delay)
		}
	}
}

// fetch binds to the durable and hands its events to workers, until ctx ends or an error demands
// a new binding. It sets failures to zero once the durable is reached.
func (f *fetcher) fetch(ctx context.Context, failures *int) error {
	d, p, err := f.reach(ctx)
	if err != nil {
		return err
	}
	defer f.end(p)
	*failures = 0
	for f.awaitWorkers(ctx) {
		if err := p.ask(f.free); err != nil {
			return err
		}
		for left := f.free; left > 0; left-- {
			msg, err := p.next(ctx)
			if errors.Is(err, errOver) {
				break
			}
			if err != nil {
				return err
			}
			if p.setBack(msg) {
				// Other processes may have recorded attempts on events that never came here.
				d.bound.last = math.MaxUint64
				d.records.Unlearn()
				f.handOn(d, msg)
				return errMoved
			}
			f.handOn(d, msg)
		}
	}
	return nil
}

// end gives back the events that came too late to be handed to a worker.
func (f *fetcher) end(p *pull) {
	for _, msg := range p.close() {
		f.giveBack(msg)
	}
}

func (f *fetcher) reach(ctx context.Context) (delivery, *pull, error) {
	ctx, cancel := context.WithTimeout(ctx, bindTimeout)
	defer cancel()
	durable, bound, err := f.bind(ctx)
	if err != nil {
		return delivery{}, nil, err
	}
	records, err := attemptrecord.Open(ctx, f.js, f.names, f.cfg.Name, f.cfg.Retry.GiveUpAfter)
	if err != nil {
		return delivery{}, nil, err
	}
	if !f.cfg.Once { // a consumer that acts once looks up every record anyway
		if err := records.Learn(ctx); err != nil {
			return delivery{}, nil, err
		}
	}
	p, err := openPull(f.js, durable.CachedInfo(), f.cfg.Concurrency)
	return delivery{bound: bound, records: records}, p, err
}

// awaitWorkers returns once a worker waits, and counts all that do. It returns false when ctx
// has ended.
func (f *fetcher) awaitWorkers(ctx context.Context) bool {
	if f.free == 0 {
		select {
		case <-f.idle:
			f.free++
		case <-ctx.Done():
		}
	}
	f.countWorkers()
	return ctx.Err() == nil
}

func (f *fetcher) countWorkers() {
	for {
		select {
		case <-f.idle:
			f.free++
		default:
			return
		}
	}
}

// handOn gives the message to a worker that waits. When the server answers a request that
// counted as lost, no worker waits, and the message goes back.
func (f *fetcher) handOn(d delivery, msg jetstream.Msg) {
	if f.free == 0 {
		f.countWorkers()
	}
	if f.free == 0 {
		f.giveBack(msg)
		return
	}
	f.free--
	d.msg = msg
	f.events <- d
}

func (f *fetcher) giveBack(msg jetstream.Msg) {
	if err := msg.Nak(); err != nil {
		f.log.Warn("cannot give an event back, it comes again when its lease has run out", slog.Any("error", err))
	}
}
