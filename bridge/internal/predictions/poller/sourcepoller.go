package poller

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/bridge/internal/lasting"
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
	lasting  *lasting.Alarms // of silence; of the goroutine that works
	// unanswered: the provider does not answer as it should, and somebody was told.
	unanswered atomic.Bool

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
		limiter: rate.NewLimiter(limit, 1), throttle: &throttle{times: r.times}, silence: &silence{began: time.Now()}, lasting: lasting.New(r.cfg.Alarms), woken: make(chan struct{}, 1),
	}
}

// work polls for due predictions of the queue until ctx ends, and returns nil then.
func (s *sourcePoller) work(ctx context.Context, d Leadership, queue *queue) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		slots := make(chan struct{}, atOnce)
		catchUp := &catchUpLog{poller: s, leadership: d}
		for {
			select {
			case <-ctx.Done():
				return nil
			case slots <- struct{}{}:
			}
			rec, ok := s.next(ctx, d, queue, catchUp)
			if !ok {
				return nil
			}
			p := &poll{sourcePoller: s, leadership: d, queue: queue, rec: rec}
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

// next waits for a poll's turn and takes its prediction. It returns false when ctx has
// ended.
func (s *sourcePoller) next(ctx context.Context, d Leadership, queue *queue, catchUp *catchUpLog) (Record, bool) {
	for {
		now := time.Now()
		if rec, wait, ok := s.take(ctx, now, d, queue, catchUp); ok {
			return rec, true
		} else if !s.wait(ctx, d, queue, wait) {
			return Record{}, false
		}
	}
}

// take returns the record of the next prediction to poll for, or until when to wait unless
// something changes; zero is for ever.
func (s *sourcePoller) take(ctx context.Context, now time.Time, d Leadership, queue *queue, catchUp *catchUpLog) (Record, time.Time, bool) {
	due, at, err := queue.look(ctx, now)
	unjudged := s.silence.unjudged()
	switch {
	case err != nil:
		s.log.Warn("what is due cannot be read, trying again", zap.Error(err))
		return Record{}, now.Add(s.times.retry), false
	case !due && !unjudged:
		catchUp.idle()
		return Record{}, at, false
	case !d.UpToDate():
		return Record{}, now.Add(s.times.behind), false
	case unjudged:
		s.lasting.Look(s.silence.judge(s.name)...)
		return Record{}, now, false
	}
	if !s.source.Provider.HasKey() {
		return Record{}, now.Add(s.times.later), false
	}
	catchUp.look(ctx, now)
	if until := s.throttle.pausedUntil(); until.After(now) {
		return Record{}, until, false
	}
	turn := s.limiter.ReserveN(now, 1)
	if delay := turn.DelayFrom(now); delay > 0 {
		turn.CancelAt(now)
		return Record{}, now.Add(delay), false
	}
	if rec, ok := s.load(ctx, now, d, queue); ok {
		return rec, time.Time{}, true
	}
	turn.CancelAt(now)
	return Record{}, now, false
}

// load takes a prediction and reads its record. It gives back one that is not due after
// all: an earlier leader may have polled it, and the model's durations may have changed.
func (s *sourcePoller) load(ctx context.Context, now time.Time, d Leadership, queue *queue) (Record, bool) {
	id, ok := queue.take()
	if !ok {
		return Record{}, false
	}
	rec, _, err := d.Load(ctx, s.name, id)
	switch {
	case errors.Is(err, ErrNotOpen):
		queue.drop(id)
		return Record{}, false
	case err != nil:
		s.log.Warn("the record of a prediction cannot be read, so it is not polled yet", zap.String("prediction", id), zap.Error(err))
		queue.hold(id, now.Add(s.times.retry))
		return Record{}, false
	}
	next := s.Due(rec)
	if until := s.noDeadLetters.Load(); until != nil && !rec.GivenUp.IsZero() {
		next = later(next, *until)
	}
	if next.After(now) {
		s.giveBack(ctx, queue, &rec, next)
		return Record{}, false
	}
	return rec, true
}

func (s *sourcePoller) giveBack(ctx context.Context, queue *queue, rec *Record, due time.Time) {
	if err := queue.give(ctx, rec.ID, due, rec.Polls); err != nil && ctx.Err() == nil {
		s.log.Warn("the view does not take when a prediction is due", zap.String("prediction", rec.ID), zap.Error(err))
	}
}

// wait returns false when ctx has ended.
func (s *sourcePoller) wait(ctx context.Context, d Leadership, queue *queue, until time.Time) bool {
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
	case <-queue.given:
	case <-d.Changed(s.name):
	case <-s.woken:
	}
	return ctx.Err() == nil
}

// webhook notes the arrival of a webhook.
func (s *sourcePoller) webhook(at time.Time) {
	s.silence.webhook(at)
	if s.silence.unjudged() {
		s.wake() // it may have ended a silence
	}
}

func (s *sourcePoller) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

// tryTo repeats do until it succeeds, and returns nil. It returns the last error when that
// is never, when ctx ends, or when more returns false.
func (s *sourcePoller) tryTo(ctx context.Context, what string, never error, more func(context.Context) bool, do func(context.Context) error) error {
	retry := backoff.Backoff{First: s.times.retry, Max: s.times.retryMax}
	for {
		err := do(ctx)
		if err == nil || errors.Is(err, never) || ctx.Err() != nil || !more(ctx) {
			return err
		}
		wait := retry.Next()
		s.log.Warn(what+" failed and is tried again", zap.Duration("after", wait), zap.Error(err))
		if !backoff.Sleep(ctx, wait) {
			return err
		}
	}
}
