package predictions

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// cached is how many entries the leader has in memory.
const cached = 4096

// place is that of an event in its stream.
type place struct {
	sequence uint64
	storedAt time.Time // zero when it is not known
}

// term is the time for which this process leads, with all that it knows: nothing of it
// is of use in another one.
type term struct {
	*Ledger

	names bridge.Names
	// Of the fold alone, once it has begun.
	entries *lru.Cache[string, *entry]
	gone    *gone
	pinned  map[string]*entry // those that were given up longer ago than they are kept
	stones  map[string]bool   // open records that may be on their way out, see stoneLife
	goal    uint64            // the sequence of the last event when it began
	roomAt  uint64            // where finished entries are looked for
	meta    ledgerMeta        // its ID is everybody's

	metaRevision   uint64
	statusRevision uint64 // of the watch
	folded         place  // the last event in the ledger when it began
	movedTo        uint64 // of the watch: what was folded at movedAt, and is the last one
	movedAt        time.Time

	// writing is held by who writes entries and open records, and changes lists.
	writing sync.Mutex

	mu   sync.Mutex
	open map[string]*worklist // by source

	foldedTo   atomic.Uint64
	last       atomic.Pointer[place] // the same
	behind     atomic.Uint64
	rebuilding atomic.Bool
	caughtUp   chan struct{} // closed when what was there when it began is folded
	// current is when the ledger had all events, in ns of the process's own time.
	current atomic.Int64
	started time.Time
}

func newTerm(l *Ledger) *term {
	entries, err := lru.New[string, *entry](cached)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &term{
		Ledger: l, names: l.cfg.Names, entries: entries, gone: newGone(), pinned: map[string]*entry{}, stones: map[string]bool{},
		open: map[string]*worklist{}, caughtUp: make(chan struct{}), started: time.Now(),
	}
}

// run leads until ctx ends, and returns nil then, or the reason why it cannot go on.
func (t *term) run(ctx context.Context) error {
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

func (t *term) work(ctx context.Context) error {
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
	t.log.Info("this process leads the ledger of predictions", zap.Int("open", loaded),
		zap.Uint64("events_to_fold", info.NumPending), zap.Bool("rebuilding", t.meta.Rebuilding), zap.Duration("took", time.Since(t.started)))
	t.metrics.term.Store(t)
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
		if err := t.reconciler.run(ctx, t); err != nil && ctx.Err() == nil {
			return fmt.Errorf("asking for overdue predictions: %w", err)
		}
		return nil
	})
	return group.Wait()
}

// noteFolded is told the last event that is in the ledger now.
func (t *term) noteFolded(ctx context.Context, last delivered) error {
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

// catchUp is called when what was there when the term began is folded, and after that.
func (t *term) catchUp(ctx context.Context) error {
	select {
	case <-t.caughtUp:
		return nil
	default:
	}
	if t.meta.Rebuilding {
		if err := t.made(ctx); err != nil {
			return err
		}
		t.log.Info("the ledger of predictions is whole", zap.Duration("took", time.Since(t.started)))
	}
	t.rebuilding.Store(false)
	t.gone, t.pinned = newGone(), map[string]*entry{}
	t.current.Store(int64(time.Since(t.started)))
	close(t.caughtUp)
	return nil
}

// watch looks at what others can do to the ledger, and tells how it stands, until ctx
// ends.
func (t *term) watch(ctx context.Context, durable jetstream.Consumer) error {
	var told adminapi.PredictionsStatus
	for {
		if err := t.lookAround(ctx, durable, &told); err != nil {
			return err
		}
		if !pause(ctx, t.times.renew) {
			return nil
		}
	}
}
