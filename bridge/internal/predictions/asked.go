package predictions

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// atOnce is how many questions to one provider are on their way at most.
const atOnce = 4

// asked is a source whose provider is asked.
type asked struct {
	*reconciler
	name     string
	source   SourceConfig
	log      *zap.Logger
	limiter  *rate.Limiter
	throttle *throttle
	silence  *silence

	// listed: the term that runs has a list of it.
	listed atomic.Bool
	// woken is told when there is something to judge.
	woken chan struct{}
	// noLetters is until when nothing is given up, since no dead letter could be stored.
	noLetters atomic.Pointer[time.Time]
	// questions and ends count since the process began, lost those that were given up.
	questions, ends, lost atomic.Int64
}

func newAsked(r *reconciler, name string, cfg SourceConfig) *asked {
	limit := rate.Inf
	if cfg.Rate > 0 {
		limit = rate.Limit(cfg.Rate)
	}
	return &asked{
		reconciler: r, name: name, source: cfg, log: r.log.With(zap.String("source", name)),
		limiter: rate.NewLimiter(limit, 1), throttle: &throttle{times: r.times}, silence: &silence{began: time.Now()}, woken: make(chan struct{}, 1),
	}
}

// work asks for what is due on the list until ctx ends, and returns nil then.
func (a *asked) work(ctx context.Context, d desk, list *worklist) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		slots := make(chan struct{}, atOnce)
		progress := &progress{asked: a, list: list}
		for {
			select {
			case <-ctx.Done():
				return nil
			case slots <- struct{}{}:
			}
			it, ok := a.next(ctx, d, list, progress)
			if !ok {
				return nil
			}
			q := &question{asked: a, desk: d, list: list, it: it}
			if a.throttle.troubled() {
				if err := q.ask(ctx); err != nil {
					return err
				}
				<-slots
				continue
			}
			g.Go(func() error {
				defer func() { <-slots }()
				return q.ask(ctx)
			})
		}
	})
	return g.Wait()
}

// next waits until one may be asked for, and takes it: the oldest of those that are
// due. It returns false when ctx has ended.
func (a *asked) next(ctx context.Context, d desk, list *worklist, progress *progress) (item, bool) {
	for {
		now := time.Now()
		if it, wait, ok := a.take(now, d, list, progress); ok {
			return it, true
		} else if !a.wait(ctx, list, wait) {
			return item{}, false
		}
	}
}

// take returns the next one to ask for, or until when to wait unless something
// changes, zero for ever.
func (a *asked) take(now time.Time, d desk, list *worklist, progress *progress) (item, time.Time, bool) {
	at, due := list.next(now)
	unjudged := a.silence.unjudged()
	switch {
	case !due && !unjudged:
		progress.idle()
		return item{}, at, false
	case !d.upToDate():
		return item{}, now.Add(a.times.behind), false
	case unjudged:
		if a.silence.judge() {
			a.cfg.Alarms.Raise(a.silence.alarm(a.name))
		}
		return item{}, now, false
	}
	if !a.source.Asker.HasKey() {
		return item{}, now.Add(a.times.later), false
	}
	progress.look(now)
	if until := a.throttle.pausedUntil(); until.After(now) {
		return item{}, until, false
	}
	turn := a.limiter.ReserveN(now, 1)
	if delay := turn.DelayFrom(now); delay > 0 {
		turn.CancelAt(now)
		return item{}, now.Add(delay), false
	}
	it, _, ok := list.take(now)
	if !ok {
		turn.CancelAt(now)
		return item{}, now, false
	}
	// More may be known by now of how long such a prediction takes.
	next := a.due(it.openRecord)
	if until := a.noLetters.Load(); until != nil && !it.GivenUp.IsZero() {
		next = later(next, *until)
	}
	if next.After(now) {
		turn.CancelAt(now)
		list.give(it.ID, func(it *item) { it.due = next })
		return item{}, now, false
	}
	return it, time.Time{}, true
}

// wait returns false when ctx has ended.
func (a *asked) wait(ctx context.Context, list *worklist, until time.Time) bool {
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
	case <-list.sooner:
	case <-a.woken:
	}
	return ctx.Err() == nil
}

func (a *asked) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// tryTo does something with the store again and again until it is done, and returns
// nil, or until it can never be, ctx ends or more is false, and returns the last error.
func (a *asked) tryTo(ctx context.Context, what string, never error, more func() bool, do func(context.Context) error) error {
	for wait := a.times.retry; ; wait = min(2*wait, a.times.retryMax) {
		err := do(ctx)
		if err == nil || errors.Is(err, never) || ctx.Err() != nil || !more() {
			return err
		}
		a.log.Warn(what+" failed and is tried again", zap.Duration("after", wait), zap.Error(err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}
