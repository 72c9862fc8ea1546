package predictions

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

const (
	// firstRetry and lastRetry space the tries to lead while NATS cannot be reached,
	// or the ledger cannot be written.
	firstRetry, lastRetry = 250 * time.Millisecond, 5 * time.Second
	// releaseTimeout is how long a process that ends tries to give the lead up.
	releaseTimeout = 2 * time.Second
)

// Ledger knows the state of every prediction, and has the provider asked for those
// that are overdue. Any number of processes may run one: exactly one of them leads, and
// when nothing is heard of it for a quarter of a minute another one does.
type Ledger struct {
	js     jetstream.JetStream
	cfg    Config
	log    *zap.Logger
	bucket *bucket
	lease  *lease
	times  leaseTimes

	reconciler *reconciler
	metrics    *ledgerMetrics
	standstill standstill
}

// NewLedger returns a ledger that is not running yet. It reads by js, and writes by
// the store.
func NewLedger(js jetstream.JetStream, store Store, cfg Config) *Ledger {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("predictions")
	l := &Ledger{js: js, cfg: cfg, log: cfg.Logger, times: defaultLeaseTimes}
	l.bucket = &bucket{Reader: NewReader(js, cfg.Names), store: store, alarms: cfg.Alarms, log: l.log}
	l.reconciler = newReconciler(cfg, store, js)
	l.metrics = newLedgerMetrics(cfg.Sources)
	return l
}

// Run leads the ledger whenever nobody else does, until ctx ends, and returns nil.
// Whatever it meets, it tries again.
func (l *Ledger) Run(ctx context.Context) error {
	l.lease = &lease{bucket: l.bucket, process: l.cfg.Process, times: l.times}
	retry := firstRetry
	for ctx.Err() == nil {
		began, err := l.next(ctx)
		if ctx.Err() == nil {
			l.say(err, retry)
			pause(ctx, retry)
		}
		if retry = min(2*retry, lastRetry); !began.IsZero() && time.Since(began) > 2*lastRetry {
			retry = firstRetry
		}
	}
	return nil
}

// next waits for a term, and returns when it has ended, when it began, and why it
// ended.
func (l *Ledger) next(ctx context.Context) (began time.Time, err error) {
	if err := l.lease.acquire(ctx); err != nil {
		return time.Time{}, err
	}
	began = time.Now()
	return began, l.lead(ctx)
}

func (l *Ledger) say(err error, retry time.Duration) {
	if errors.Is(err, errTermOver) || errors.Is(err, errLedgerGone) {
		l.log.Warn("this process leads the ledger of predictions no more; it is ready to do so again", zap.Error(err))
		return
	}
	if errors.Is(err, errMissing) && retry == firstRetry {
		l.log.Info("the events behind the ledger of predictions are read again", zap.Error(err))
		return
	}
	l.log.Error("the ledger of predictions stands still, trying again; webhooks are still accepted, and kept for it",
		zap.Duration("in", retry), zap.Error(err))
}

// lead runs one term, and gives the lead up.
func (l *Ledger) lead(ctx context.Context) error {
	t := newTerm(l)
	err := t.run(ctx)
	l.metrics.term.Store(nil)
	if ctx.Err() == nil && l.standstill.note(t, time.Now(), err) {
		l.cfg.Alarms.Raise(l.standstill.alarm(l.cfg.Names.PredictionsStream(), err))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := l.lease.release(ctx); err != nil {
		l.log.Debug("the lead of the ledger was not given up, others take it when nothing is heard of this process", zap.Error(err))
	}
	return err
}
