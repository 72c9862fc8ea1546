package predictions

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

// place is that of an event in its stream.
type place struct {
	sequence uint64
	storedAt time.Time // zero when it is not known
}

// leadership is the time for which this process leads, with all that it knows: nothing
// of that is of use the next time that it leads.
type leadership struct {
	*Leader
	*store

	// Of the fold alone, once it has begun.
	gone   *gone
	pinned map[string]*entry // predictions that were given up longer ago than they are kept

	goal uint64    // the sequence of the last event when it began
	meta storeMeta // its ID is everybody's

	metaRevision   uint64
	statusRevision uint64 // of the watch
	folded         place  // the last event in the prediction store when it began
	movedTo        uint64 // of the watch: what was folded at movedAt, and is the last one
	movedAt        time.Time

	foldedTo   atomic.Uint64
	last       atomic.Pointer[place] // the same
	behind     atomic.Uint64
	rebuilding atomic.Bool
	caughtUp   chan struct{} // closed when what was there when it began is folded
	// current is when the prediction store had all events, in ns of the process's own time.
	current atomic.Int64
	started time.Time
}

func newLeadership(l *Leader) *leadership {
	return &leadership{
		Leader: l, store: newStore(l), gone: newGone(), pinned: map[string]*entry{}, caughtUp: make(chan struct{}), started: time.Now(),
	}
}

// run leads until ctx ends, and returns nil then, or the reason why it cannot go on.
func (t *leadership) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return t.lease.keep(ctx) })
	group.Go(func() error {
		if err := t.work(ctx); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	})
	return group.Wait()
}

func (t *leadership) work(ctx context.Context) error {
	durable, err := t.begin(ctx)
	if err != nil {
		return err
	}
	t.rebuilding.Store(t.meta.Rebuilding)
	t.foldedTo.Store(t.folded.sequence)
	t.last.Store(&t.folded)
	info := durable.CachedInfo()
	t.behind.Store(info.NumPending)
	if err := t.warmUp(ctx); err != nil {
		return err
	}
	loaded, err := t.loadOpen(ctx)
	if err != nil {
		return err
	}
	t.log.Info("this process leads the predictions", zap.Int("open", loaded),
		zap.Uint64("events_to_fold", info.NumPending), zap.Bool("rebuilding", t.meta.Rebuilding), zap.Duration("took", time.Since(t.started)))
	t.metrics.leadership.Store(t)
	feed, err := newFeed(durable, t.times.renew, &t.foldedTo)
	if err != nil {
		return err
	}
	defer feed.stop()
	if info.NumPending == 0 {
		if err := t.catchUp(ctx); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	blocks := make(chan events)
	group.Go(func() error { return t.read(ctx, feed, blocks) })
	group.Go(func() error { return t.fold(ctx, blocks) })
	group.Go(func() error { return t.watch(ctx, durable) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-t.caughtUp:
		}
		if err := t.poller.Run(ctx, t); err != nil && ctx.Err() == nil {
			return fmt.Errorf("asking for overdue predictions: %w", err)
		}
		return nil
	})
	return group.Wait()
}

// noteFolded is told the last event that is in the prediction store now.
func (t *leadership) noteFolded(ctx context.Context, last delivered) error {
	t.foldedTo.Store(last.meta.Sequence.Stream)
	t.last.Store(&place{last.meta.Sequence.Stream, last.meta.Timestamp.UTC()})
	if last.meta.NumPending == 0 {
		t.current.Store(int64(time.Since(t.started)))
	}
	if last.meta.NumPending == 0 || last.meta.Sequence.Stream >= t.goal {
		return t.catchUp(ctx)
	}
	return nil
}

// catchUp is called when what was there when the leadership began is folded, and after that.
func (t *leadership) catchUp(ctx context.Context) error {
	select {
	case <-t.caughtUp:
		return nil
	default:
	}
	if t.meta.Rebuilding {
		if err := t.made(ctx); err != nil {
			return err
		}
		t.log.Info("the prediction store is whole", zap.Duration("took", time.Since(t.started)))
	}
	t.rebuilding.Store(false)
	t.gone, t.pinned = newGone(), map[string]*entry{}
	t.current.Store(int64(time.Since(t.started)))
	close(t.caughtUp)
	return nil
}

// watch looks at what others can do to the prediction store, and tells how it stands, until ctx
// ends.
func (t *leadership) watch(ctx context.Context, durable jetstream.Consumer) error {
	var told adminapi.PredictionsStatus
	for {
		if err := t.lookAround(ctx, durable, &told); err != nil {
			return err
		}
		if !backoff.Sleep(ctx, t.times.renew) {
			return nil
		}
	}
}
