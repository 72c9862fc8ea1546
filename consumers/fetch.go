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

// bindTimeout bounds one try to reach the durable.
const bindTimeout = 10 * time.Second

// bindRetry spaces the tries to reach the durable again.
var bindRetry = Retry{First: 250 * time.Millisecond, Max: 10 * time.Second}

// delivery is one message, and what is known of where it came from.
type delivery struct {
	msg     jetstream.Msg
	bound   binding
	records *attemptrecord.Store
}

// fetcher brings events to the workers of a consumer. The fetcher never asks for more events
// than there are workers that wait: an event that waited here for a busy worker would do so with
// its lease running.
type fetcher struct {
	*Consumer

	idle   chan struct{} // one for each worker that begins to wait
	events chan delivery // to workers that wait; closed when there will be no more
	free   int           // how many wait, as far as they were counted
}

func (c *Consumer) newFetcher() *fetcher {
	return &fetcher{Consumer: c, idle: make(chan struct{}, c.cfg.Concurrency), events: make(chan delivery)}
}

// run fetches until ctx ends.
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

// fetch binds to the durable and hands on what it delivers until ctx ends or it
// cannot go on. It sets failures to zero once the durable is reached.
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
		for asked := f.free; asked > 0; asked-- {
			msg, err := p.next(ctx)
			if errors.Is(err, errOver) {
				break
			}
			if err != nil {
				return err
			}
			if p.setBack(msg) {
				// Others may have written of events that were never delivered to us.
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

// end gives back what came too late to be handed on.
func (f *fetcher) end(p *pull) {
	for _, msg := range p.close() {
		f.giveBack(msg)
	}
}

// reach binds to the durable and opens what is needed of it.
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
	if !f.cfg.Once { // that looks up everything
		if err := records.Learn(ctx); err != nil {
			return delivery{}, nil, err
		}
	}
	p, err := openPull(f.js, durable.CachedInfo(), f.cfg.Concurrency)
	return delivery{bound: bound, records: records}, p, err
}

// awaitWorkers returns when a worker waits, and counts all that do. It is false when
// ctx has ended.
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

// handOn gives the message to a worker that waits. When the server still answers a request that
// was taken for lost, no worker waits, and the message goes back.
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
