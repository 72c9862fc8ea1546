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

// place locates an event in its stream.
type place struct {
	sequence uint64
	storedAt time.Time // zero when unknown
}

// leadership is the state of this process while it leads. A later leadership begins with
// none of it.
type leadership struct {
	*Leader
	*store

	// Used by fold alone.
	gone   *gone
	pinned map[string]*entry // given up longer ago than the store keeps them

	goal uint64    // the last event when the leadership began
	meta storeMeta // its ID names this build of the store

	metaRevision   uint64
	statusRevision uint64 // watch's
	folded         place  // the last folded event when the leadership began
	movedTo        uint64 // watch's: the last event folded at movedAt
	movedAt        time.Time

	foldedTo   atomic.Uint64
	last       atomic.Pointer[place] // the last folded event
	behind     atomic.Uint64
	rebuilding atomic.Bool
	caughtUp   chan struct{} // closed when goal is reached
	// current is when the prediction store last had all events, in ns of the process's own
	// time.
	current atomic.Int64
	started time.Time
}

func newLeadership(l *Leader) *leadership {
	return &leadership{
		Leader: l, store: newStore(l), gone: newGone(), pinned: map[string]*entry{}, caughtUp: make(chan struct{}), started: time.Now(),
	}
}

// run leads until ctx ends and returns nil then, or returns why it cannot go on.
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

// noteFolded notes the last event in the prediction store.
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

// catchUp is called once goal is reached.
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

// watch checks every few seconds that nobody has changed the prediction store, and writes
// its status, until ctx ends.
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
