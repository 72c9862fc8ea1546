package predictions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// maxPolled bounds the remembered records of polls. Others go by their age.
	maxPolled = 100_000
	// maxClosing bounds the predictions that have ended and whose keys are still to be
	// removed.
	maxClosing = 1000
	// warmFor is how many finished predictions a new leader learns durations from.
	warmFor = 1000
	// tellEvery spaces the looks at what cannot be polled.
	tellEvery = time.Minute
	// countEvery spaces the counts of open predictions, for the metrics.
	countEvery = 5 * time.Second
)

// leadership is the state of this process while it leads. A later leadership begins with
// none of it.
type leadership struct {
	*Leader

	view    *view.View
	closing chan bridge.PredictionState // what has ended

	mu     sync.Mutex
	polled map[string]struct{} // keys of records of polls
	kept   keptTo
}

func newLeadership(l *Leader, v *view.View) *leadership {
	return &leadership{
		Leader: l, view: v, closing: make(chan bridge.PredictionState, maxClosing), polled: map[string]struct{}{}, kept: l.lease.kept,
	}
}

// run leads until ctx ends and returns nil then, or returns why it cannot go on.
func (t *leadership) run(ctx context.Context) error {
	t.lease.tell = t.told
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.lease.keep(ctx) })
	group.Go(func() error {
		t.warmUp(ctx)
		return t.poller.Run(ctx, t)
	})
	group.Go(func() error { return t.watchView(ctx) })
	group.Go(func() error { t.close(ctx); return nil })
	group.Go(func() error { return t.keepOpen(ctx) })
	group.Go(func() error { t.count(ctx); return nil })
	group.Go(func() error {
		for backoff.Sleep(ctx, tellEvery) {
			t.tellUnpolled(ctx)
		}
		return nil
	})
	return group.Wait()
}

// watchView returns an error when the view has lacked events for too long, since another
// process may have them; nil when ctx ends.
func (t *leadership) watchView(ctx context.Context) error {
	current := time.Now()
	for backoff.Sleep(ctx, t.times.renew) {
		if t.UpToDate() {
			current = time.Now()
		}
		if time.Since(current) > t.times.stuck {
			return fmt.Errorf("%w for %v", errBehind, t.times.stuck)
		}
	}
	return nil
}

// told is what the lease says.
func (t *leadership) told() (map[string]adminapi.SourceStatus, keptTo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.poller.Status(time.Now()), t.kept
}

// warmUp tells the poller of the latest finished predictions. Without them the first polls
// are a little early or late.
func (t *leadership) warmUp(ctx context.Context) {
	err := t.view.Finished(ctx, warmFor, func(s *bridge.PredictionState) { t.poller.Ended(s, false) })
	if err != nil && ctx.Err() == nil {
		t.log.Warn("how long predictions usually take is learned anew", zap.Error(err))
	}
}

// changed notes what the view has folded.
func (t *leadership) changed(c view.Change) {
	if c.Live && c.Kind == view.Ended {
		t.metrics.end(c.State)
	}
	if !c.State.Open() {
		select {
		case t.closing <- *c.State:
		default: // the record goes by its age, and what was kept by a later leader
		}
	}
}

// tellUnpolled raises an alarm for each source whose overdue predictions cannot be polled.
func (t *leadership) tellUnpolled(ctx context.Context) {
	if !t.UpToDate() {
		return // what is overdue may have ended
	}
	sources, err := Sources(ctx, t.view, t.poller.Status(time.Now()), time.Now())
	if err != nil {
		t.log.Warn("what is overdue cannot be counted", zap.Error(err))
		return
	}
	t.poller.TellUnpolled(sources)
}

// count counts open predictions from time to time until ctx ends. What cannot be counted stays as
// it was: the view says what is wrong.
func (t *leadership) count(ctx context.Context) {
	for {
		if all, err := Sources(ctx, t.view, nil, time.Now()); err == nil {
			t.counted.Store(&all)
		}
		if !backoff.Sleep(ctx, countEvery) {
			return
		}
	}
}

// lookEvery bounds the wait for an announcement that makes a known prediction due sooner.
const lookEvery = 10 * time.Second

// Due implements [poller.Leadership].
func (t *leadership) Due(ctx context.Context, source string, now time.Time, limit int) (proved, claimed []string, err error) {
	due, err := t.view.Due(ctx, source, now, limit)
	for _, d := range due {
		if d.Claimed {
			claimed = append(claimed, d.State.ID)
		} else {
			proved = append(proved, d.State.ID)
		}
	}
	return proved, claimed, err
}

// NextDue implements [poller.Leadership].
func (t *leadership) NextDue(ctx context.Context, source string) (time.Time, error) {
	next, err := t.view.NextDue(ctx, source)
	if look := time.Now().Add(lookEvery); next.IsZero() || next.After(look) {
		next = look
	}
	return next, err
}

// Counts implements [poller.Leadership].
func (t *leadership) Counts(ctx context.Context, source string, now time.Time) (open, overdue int, oldest time.Time, err error) {
	return t.view.Counts(ctx, source, now)
}

// UpToDate implements [poller.Leadership].
func (t *leadership) UpToDate() bool { return t.view.UpToDate() }

// PutOff implements [poller.Leadership].
func (t *leadership) PutOff(ctx context.Context, source, id string, due time.Time, polls int) error {
	return t.view.SetDue(ctx, source, id, due, polls)
}

// Changed implements [poller.Leadership].
func (t *leadership) Changed(source string) <-chan struct{} { return t.channel(source) }

// Load implements [poller.Leadership].
func (t *leadership) Load(ctx context.Context, source, id string) (poller.Record, uint64, error) {
	s, err := t.view.Prediction(ctx, source, id)
	if errors.Is(err, bridge.ErrNotFound) || err == nil && !s.Open() {
		return poller.Record{}, 0, poller.ErrNotOpen
	}
	if err != nil {
		return poller.Record{}, 0, err
	}
	key := bridge.PredictionKey(bridge.KeyPoll, source, id)
	have, revision, err := load[poller.Record](ctx, t.bucket, key)
	if err != nil {
		return poller.Record{}, 0, err
	}
	if revision > 0 {
		t.remember(key)
	}
	return recordOf(s, have), revision, nil
}

// Save implements [poller.Leadership].
func (t *leadership) Save(ctx context.Context, rec poller.Record, revision uint64) error {
	if !time.Now().Before(t.lease.heldUntil()) {
		return fmt.Errorf("%w: this process was suspended", poller.ErrNotLeader)
	}
	key := bridge.PredictionKey(bridge.KeyPoll, rec.Source, rec.ID)
	if _, err := t.bucket.put(ctx, key, rec, revision, pollLife); err != nil {
		return err
	}
	t.remember(key)
	return nil
}

func (t *leadership) remember(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.polled) < maxPolled {
		t.polled[key] = struct{}{}
	}
}

// close removes the keys of predictions that have ended, until ctx ends.
func (t *leadership) close(ctx context.Context) {
	for {
		var s bridge.PredictionState
		select {
		case <-ctx.Done():
			return
		case s = <-t.closing:
		}
		poll := bridge.PredictionKey(bridge.KeyPoll, s.Source, s.ID)
		t.mu.Lock()
		_, polled := t.polled[poll]
		delete(t.polled, poll)
		t.mu.Unlock()
		var err error
		if polled {
			err = t.bucket.remove(ctx, poll)
		}
		if t.mayBeKept(&s) {
			err = errors.Join(err, t.bucket.remove(ctx, bridge.PredictionKey(bridge.KeyOpen, s.Source, s.ID)))
		}
		if err != nil && ctx.Err() == nil {
			t.log.Warn("the records of a prediction that has ended stay for now", zap.String("prediction", s.ID), zap.Error(err))
		}
	}
}
