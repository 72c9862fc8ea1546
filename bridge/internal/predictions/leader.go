package predictions

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// firstRetry and lastRetry space the tries to lead while NATS cannot be reached.
	firstRetry, lastRetry = 250 * time.Millisecond, 5 * time.Second
	// releaseTimeout bounds giving up the lease at the end of the process.
	releaseTimeout = 2 * time.Second
)

// Leader runs the poller while this process leads. Any number of processes may run one:
// exactly one of them leads, and another takes over when nothing is heard of it for 15 s.
type Leader struct {
	js     jetstream.JetStream
	cfg    Config
	log    *zap.Logger
	bucket *bucket
	lease  *lease
	times  leaseTimes

	poller  *poller.Poller
	states  atomic.Pointer[view.View] // nil until Run
	metrics *leaderMetrics
	counted atomic.Pointer[map[string]adminapi.SourceStatus] // nil: nothing is counted
	current atomic.Pointer[leadership]                       // nil: this process does not lead

	mu      sync.Mutex
	changed map[string]chan struct{} // by source
}

// NewLeader returns a leader that does not run yet. It reads from js and writes to store.
func NewLeader(js jetstream.JetStream, store poller.Store, cfg Config) *Leader {
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop()).Named("predictions")
	l := &Leader{js: js, cfg: cfg, log: cfg.Logger, times: defaultLeaseTimes, changed: map[string]chan struct{}{}}
	l.bucket = newBucket(js, cfg.Names, store, cfg.Alarms, l.log)
	l.poller = poller.New(poller.Config{
		Names: cfg.Names, Sources: cfg.Sources, Keep: cfg.Keep, GiveUpAfter: cfg.GiveUpAfter, Alarms: cfg.Alarms, Logger: cfg.Logger,
	}, store, states{l}, js)
	l.metrics = newLeaderMetrics(l)
	return l
}

// states are the view's, once there is one.
type states struct{ *Leader }

func (s states) Prediction(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	return s.states.Load().Prediction(ctx, source, id)
}

// Due is when an open prediction is to be polled, as far as its state tells; a view calls it
// for each event.
func (l *Leader) Due(s *bridge.PredictionState) time.Time {
	return l.poller.Due(recordOf(s, poller.Record{}))
}

// Changed is told what a view has folded. It never blocks.
func (l *Leader) Changed(changes []view.Change) {
	t := l.current.Load()
	for _, c := range changes {
		s := c.State
		l.wake(s.Source)
		if c.Kind == view.Ended {
			l.poller.Ended(s, c.Live)
		}
		// Every process with a view raises it, since none may lead just now.
		if c.Kind == view.Conflicted && c.Live {
			l.poller.Conflict(s, c.Event, c.At.Sequence)
		}
		if t != nil {
			t.changed(c)
		}
	}
}

// wake has the poller of the source look for what is due.
func (l *Leader) wake(source string) {
	select {
	case l.channel(source) <- struct{}{}:
	default:
	}
}

// channel is the configured source's; others share one that nobody reads.
func (l *Leader) channel(source string) chan struct{} {
	if _, configured := l.cfg.Sources[source]; !configured {
		source = ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed[source] == nil {
		l.changed[source] = make(chan struct{}, 1)
	}
	return l.changed[source]
}

// Run leads with the view whenever that has every event and no other process leads, until ctx
// ends, and returns nil. After any error it tries again.
func (l *Leader) Run(ctx context.Context, v *view.View) error {
	l.states.Store(v)
	l.lease = &lease{bucket: l.bucket, process: l.cfg.Process, times: l.times}
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for ctx.Err() == nil {
		began, err := l.next(ctx, v)
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
func (l *Leader) next(ctx context.Context, v *view.View) (began time.Time, err error) {
	l.lease.tell = nil
	for !v.UpToDate() {
		if !backoff.Sleep(ctx, l.times.look) {
			return time.Time{}, ctx.Err()
		}
	}
	if err := l.lease.acquire(ctx); err != nil {
		return time.Time{}, err
	}
	began = time.Now()
	return began, l.lead(ctx, v)
}

func (l *Leader) say(err error, retry time.Duration) {
	if errors.Is(err, poller.ErrNotLeader) || errors.Is(err, errBehind) {
		l.log.Warn("this process leads the predictions no more; it is ready to do so again", zap.Error(err))
		return
	}
	l.log.Error("overdue predictions are not polled, trying again; webhooks are still accepted", zap.Duration("in", retry), zap.Error(err))
}

// lead runs one leadership, then releases the lease.
func (l *Leader) lead(ctx context.Context, v *view.View) error {
	t := newLeadership(l, v)
	l.current.Store(t)
	l.log.Info("this process leads the predictions")
	err := t.run(ctx)
	l.current.Store(nil)
	l.counted.Store(nil)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := l.lease.release(ctx); err != nil {
		l.log.Debug("the lead was not given up, others take it when nothing is heard of this process", zap.Error(err))
	}
	return err
}

// Leading says who leads the polling, and what it last said.
type Leading struct {
	Process string
	At      time.Time
	Sources map[string]adminapi.SourceStatus
}

// Who reads who leads, in any process. Without a leader the Process is empty.
func Who(ctx context.Context, js jetstream.JetStream, names bridge.Names) (Leading, error) {
	have, _, err := load[leaseRecord](ctx, newBucket(js, names, nil, nil, zap.NewNop()), keyLeader)
	if err != nil {
		return Leading{}, err
	}
	return Leading{Process: have.Process, At: have.At, Sources: have.Sources}, nil
}
