package predictions

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// firstRetry and lastRetry space the tries to lead while NATS cannot be reached or the
	// prediction store cannot be written.
	firstRetry, lastRetry = 250 * time.Millisecond, 5 * time.Second
	// releaseTimeout bounds giving up the lease at the end of the process.
	releaseTimeout = 2 * time.Second
)

// Leader keeps the state of every prediction and runs the poller. Any number of processes
// may run one: exactly one of them leads, and another takes over when nothing is heard of
// it for 15 s.
type Leader struct {
	js     jetstream.JetStream
	cfg    Config
	log    *zap.Logger
	bucket *bucket
	lease  *lease
	times  leaseTimes
	cached int // entries in memory

	poller     *poller.Poller
	metrics    *leaderMetrics
	standstill standstill
}

// NewLeader returns a leader that does not run yet. It reads from js and writes to store.
func NewLeader(js jetstream.JetStream, store Store, cfg Config) *Leader {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("predictions")
	l := &Leader{js: js, cfg: cfg, log: cfg.Logger, times: defaultLeaseTimes, cached: cached}
	l.bucket = &bucket{Reader: NewReader(js, cfg.Names), store: store, alarms: cfg.Alarms, log: l.log}
	l.poller = poller.New(poller.Config{
		Names: cfg.Names, Sources: cfg.Sources, Keep: cfg.Keep, GiveUpAfter: cfg.GiveUpAfter, Alarms: cfg.Alarms, Logger: cfg.Logger,
	}, store, l.bucket.Reader, js)
	l.metrics = newLeaderMetrics(cfg.Sources)
	return l
}

// Run leads whenever no other process does, until ctx ends, and returns nil. After any
// error it tries again.
func (l *Leader) Run(ctx context.Context) error {
	l.lease = &lease{bucket: l.bucket, process: l.cfg.Process, times: l.times}
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for ctx.Err() == nil {
		began, err := l.next(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the process ends
		}
		if !began.IsZero() && time.Since(began) > 2*lastRetry {
			retry.Reset()
		}
		wait := retry.Next()
		l.say(err, wait)
		backoff.Sleep(ctx, wait)
	}
	return nil
}

// next waits for a leadership and runs it. It returns when the leadership began and why it
// ended.
func (l *Leader) next(ctx context.Context) (began time.Time, err error) {
	if err := l.lease.acquire(ctx); err != nil {
		return time.Time{}, err
	}
	began = time.Now()
	return began, l.lead(ctx)
}

func (l *Leader) say(err error, retry time.Duration) {
	if errors.Is(err, poller.ErrNotLeader) || errors.Is(err, errStoreGone) {
		l.log.Warn("this process leads the predictions no more; it is ready to do so again", zap.Error(err))
		return
	}
	if errors.Is(err, errMissing) && retry == firstRetry {
		l.log.Info("the events behind the prediction store are read again", zap.Error(err))
		return
	}
	l.log.Error("the prediction store stands still, trying again; webhooks are still accepted, and kept for it",
		zap.Duration("in", retry), zap.Error(err))
}

// lead runs one leadership, then releases the lease.
func (l *Leader) lead(ctx context.Context) error {
	t := newLeadership(l)
	err := t.run(ctx)
	l.metrics.leadership.Store(nil)
	if ctx.Err() == nil && l.standstill.note(t, time.Now(), err) {
		l.cfg.Alarms.Raise(l.standstill.alarm(l.cfg.Names.PredictionsStream(), err))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := l.lease.release(ctx); err != nil {
		l.log.Debug("the lead was not given up, others take it when nothing is heard of this process", zap.Error(err))
	}
	return err
}
