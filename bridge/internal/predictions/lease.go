package predictions

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

// leaseTimes are measured by each process's own monotonic clock: the clocks of two
// processes are never compared.
type leaseTimes struct {
	// look is how often other processes look at the lease.
	look time.Duration
	// renew is how often the leader renews the lease.
	renew time.Duration
	// hold is how long the leader leads after the start of its last successful renewal. It
	// is shorter than patience.
	hold time.Duration
	// patience is how long another process must not have seen a renewal before it takes the
	// lease.
	patience time.Duration
	// stuck is for how long the leader's view may lack events before it gives up the lead.
	stuck time.Duration
}

var defaultLeaseTimes = leaseTimes{look: time.Second, renew: 5 * time.Second, hold: 10 * time.Second, patience: 15 * time.Second, stuck: time.Minute}

// leaseRecord says who leads. Without a Holder nobody does.
type leaseRecord struct {
	Process string `json:"process,omitempty"`
	Holder  string `json:"term,omitempty"`
	N       uint64 `json:"n,omitempty"`
	// At is the leader's time of the write, for operators.
	At time.Time `json:"at,omitzero"`
	// Sources is what only the leader knows of the configured sources.
	Sources map[string]adminapi.SourceStatus `json:"sources,omitempty"`
	// Kept is the cursor of what was kept of open predictions, see [leadership.keepOpen].
	Kept keptTo `json:"kept,omitzero"`
}

// lease is the right to poll. Two processes can believe that they
// hold it only while one of them hangs; then [bucket] refuses that one's writes.
type lease struct {
	bucket  *bucket
	process string
	times   leaseTimes
	// tell returns what else the lease says; nil says nothing.
	tell func() (map[string]adminapi.SourceStatus, keptTo)

	// seen is the revision of another process's lease, since when it was first seen.
	seen  uint64
	since time.Time

	holder   string
	n        uint64
	revision uint64

	mu    sync.Mutex
	until time.Time // held until
	kept  keptTo    // of the lease that was taken
}

// acquire returns when this process leads, or an error when ctx ends or the lease cannot be
// read or written. A further call remembers what the last one saw.
func (l *lease) acquire(ctx context.Context) error {
	for {
		have, revision, err := load[leaseRecord](ctx, l.bucket, keyLeader)
		if err != nil {
			return err
		}
		now := time.Now()
		// The holder of this process belongs to a leadership that has ended.
		free := revision == 0 || have.Holder == "" || have.Holder == l.holder
		if !free && revision != l.seen {
			l.seen, l.since = revision, now
		}
		if free || now.Sub(l.since) >= l.times.patience {
			l.kept = have.Kept
			err := l.take(ctx, revision)
			if !errors.Is(err, poller.ErrNotLeader) {
				return err // otherwise another process was faster
			}
		}
		if !backoff.Sleep(ctx, l.times.look) {
			return ctx.Err()
		}
	}
}

// take replaces the lease of the revision and begins a leadership.
func (l *lease) take(ctx context.Context, revision uint64) error {
	l.holder, l.n, l.revision, l.seen = rand.Text(), 0, revision, 0
	return l.renew(ctx)
}

// renew prolongs the lease. The error wraps [poller.ErrNotLeader] when another process has
// it; after any other error the caller may try again while the lease is held.
func (l *lease) renew(ctx context.Context) error {
	began := time.Now()
	mine := leaseRecord{Process: l.process, Holder: l.holder, N: l.n + 1, At: began.UTC(), Kept: l.kept}
	if l.tell != nil {
		mine.Sources, mine.Kept = l.tell()
	}
	revision, err := l.bucket.put(ctx, keyLeader, mine, l.revision, 0)
	if err != nil {
		// The write may have succeeded, now or the last time, and only its answer was lost.
		have, at, readErr := load[leaseRecord](ctx, l.bucket, keyLeader)
		if readErr != nil || have.Holder != l.holder {
			return fmt.Errorf("taking the lead: %w", err)
		}
		if have.N != mine.N { // an older write of ours
			l.n, l.revision = have.N, at
			return fmt.Errorf("taking the lead: it is not written, and still ours: %w", withoutNotLeader{err})
		}
		revision = at
	}
	l.n, l.revision = mine.N, revision
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = began.Add(l.times.hold)
	return nil
}

// withoutNotLeader hides the wrapped error and keeps its text.
type withoutNotLeader struct{ error }

func (withoutNotLeader) Unwrap() error { return nil }

func (l *lease) heldUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// keep renews the lease until ctx ends. It returns an error when the lease is lost.
func (l *lease) keep(ctx context.Context) error {
	for backoff.Sleep(ctx, l.times.renew) {
		for {
			err := l.renewInTime(ctx)
			if err == nil || ctx.Err() != nil {
				break
			}
			if errors.Is(err, poller.ErrNotLeader) || !time.Now().Before(l.heldUntil()) {
				return err
			}
			if !backoff.Sleep(ctx, min(l.times.look, time.Until(l.heldUntil()))) {
				break
			}
		}
	}
	return nil
}

func (l *lease) renewInTime(ctx context.Context) error {
	until := l.heldUntil()
	if !time.Now().Before(until) { // the process was suspended
		return fmt.Errorf("%w: it has not said for %v that it leads", poller.ErrNotLeader, l.times.hold)
	}
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return l.renew(ctx)
}

// release gives up the lease at once, so that no process waits for its end.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	l.until = time.Time{}
	l.mu.Unlock()
	free := leaseRecord{Kept: l.kept}
	if l.tell != nil {
		_, free.Kept = l.tell()
	}
	_, err := l.bucket.put(ctx, keyLeader, free, l.revision, 0)
	return err
}
