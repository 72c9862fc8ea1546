package poller

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/backoff"
)

// atOnce bounds the polls in flight to one provider.
const atOnce = 4

// sourcePoller polls for one source.
type sourcePoller struct {
	*Poller
	name     string
	source   SourceConfig
	log      *zap.Logger
	limiter  *rate.Limiter
	throttle *throttle
	silence  *silence

	// queued: the leadership has a queue of the source.
	queued atomic.Bool
	// woken is told when there is something to judge.
	woken chan struct{}
	// noDeadLetters is until when nothing is given up, because a dead letter could not be
	// stored.
	noDeadLetters atomic.Pointer[time.Time]
	// polls and ends count since the process began; lost counts the predictions that were
	// given up.
	polls, ends, lost atomic.Int64
}

func newSourcePoller(r *Poller, name string, cfg SourceConfig) *sourcePoller {
	limit := rate.Inf
	if cfg.Rate > 0 {
		limit = rate.Limit(cfg.Rate)
	}
	return &sourcePoller{
		Poller: r, name: name, source: cfg, log: r.log.With(zap.String("source", name)),
		limiter: rate.NewLimiter(limit, 1), throttle: &throttle{times: r.times}, silence: &silence{began: time.Now()}, woken: make(chan struct{}, 1),
	}
}

// work polls for due items of the queue until ctx ends, and returns nil then.
func (s *sourcePoller) work(ctx context.Context, d Leadership, queue *Queue) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		slots := make(chan struct{}, atOnce)
		catchUp := &catchUpLog{poller: s, queue: queue}
		for {
			select {
			case <-ctx.Done():
				return nil
			case slots <- struct{}{}:
			}
			it, ok := s.next(ctx, d, queue, catchUp)
			if !ok {
				return nil
			}
			p := &poll{sourcePoller: s, leadership: d, queue: queue, it: it}
			if s.throttle.troubled() {
				if err := p.do(ctx); err != nil {
					return err
				}
				<-slots
				continue
			}
			g.Go(func() error {
				defer func() { <-slots }()
				return p.do(ctx)
			})
		}
	})
	return g.Wait()
}

// next waits for a poll's turn and takes its item. It returns false when ctx has ended.
func (s *sourcePoller) next(ctx context.Context, d Leadership, queue *Queue, catchUp *catchUpLog) (Item, bool) {
	for {
		now := time.Now()
		if it, wait, ok := s.take(now, d, queue, catchUp); ok {
			return it, true
		} else if !s.wait(ctx, queue, wait) {
			return Item{}, false
		}
	}
}

// take returns the next item to poll for, or until when to wait unless something changes;
// zero is for ever.
func (s *sourcePoller) take(now time.Time, d Leadership, queue *Queue, catchUp *catchUpLog) (Item, time.Time, bool) {
	at, due := queue.next(now)
	unjudged := s.silence.unjudged()
	switch {
	case !due && !unjudged:
		catchUp.idle()
		return Item{}, at, false
	case !d.UpToDate():
		return Item{}, now.Add(s.times.behind), false
	case unjudged:
		if s.silence.judge() {
			s.cfg.Alarms.Raise(s.silence.alarm(s.name))
		}
		return Item{}, now, false
	}
	if !s.source.Provider.HasKey() {
		return Item{}, now.Add(s.times.later), false
	}
	catchUp.look(now)
	if until := s.throttle.pausedUntil(); until.After(now) {
		return Item{}, until, false
	}
	turn := s.limiter.ReserveN(now, 1)
	if delay := turn.DelayFrom(now); delay > 0 {
		turn.CancelAt(now)
		return Item{}, now.Add(delay), false
	}
	it, _, ok := queue.take(now)
	if !ok {
		turn.CancelAt(now)
		return Item{}, now, false
	}
	// The model's durations may have changed since.
	next := s.Due(it.Record)
	if until := s.noDeadLetters.Load(); until != nil && !it.GivenUp.IsZero() {
		next = later(next, *until)
	}
	if next.After(now) {
		turn.CancelAt(now)
		queue.give(it.ID, func(it *Item) { it.Due = next })
		return Item{}, now, false
	}
	return it, time.Time{}, true
}

// wait returns false when ctx has ended.
func (s *sourcePoller) wait(ctx context.Context, queue *Queue, until time.Time) bool {
	var expired <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-expired:
	case <-queue.sooner:
	case <-s.woken:
	}
	return ctx.Err() == nil
}

func (s *sourcePoller) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// tryTo repeats do until it succeeds, and returns nil. It returns the last error when that
// is never, when ctx ends, or when more returns false.
func (s *sourcePoller) tryTo(ctx context.Context, what string, never error, more func() bool, do func(context.Context) error) error {
	retry := backoff.Backoff{First: s.times.retry, Max: s.times.retryMax}
	for {
		err := do(ctx)
		if err == nil || errors.Is(err, never) || ctx.Err() != nil || !more() {
			return err
		}
		wait := retry.Next()
		s.log.Warn(what+" failed and is tried again", zap.Duration("after", wait), zap.Error(err))
		if !backoff.Sleep(ctx, wait) {
			return err
		}
	}
}
