package predictions

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/backoff"
)

// leaseTimes are the times of a lease. Each process measures them with its own
// monotonic clock: no two clocks are ever compared.
type leaseTimes struct {
	// look is how often who does not lead looks who does.
	look time.Duration
	// renew is how often the leader says that it still leads.
	renew time.Duration
	// hold is for how long it leads after it has begun to say so for the last time
	// with success. It is shorter than patience.
	hold time.Duration
	// patience is for how long nothing must have been heard of a leader before its
	// place is taken.
	patience time.Duration
	// stuck is after how long without progress a person is told.
	stuck time.Duration
}

var defaultLeaseTimes = leaseTimes{look: time.Second, renew: 5 * time.Second, hold: 10 * time.Second, patience: 15 * time.Second, stuck: time.Minute}

// leaseRecord says who leads. Without a leadership nobody does.
type leaseRecord struct {
	Process string `json:"process,omitempty"`
	Holder  string `json:"term,omitempty"`
	N       uint64 `json:"n,omitempty"`
}

// lease is the right to write the prediction store. Two processes can think that they have it
// only while one of them hangs, and then [bucket] refuses what that one writes.
type lease struct {
	bucket  *bucket
	process string
	times   leaseTimes

	// seen is the revision of somebody else's lease, and since when it is the last.
	seen  uint64
	since time.Time

	holder   string
	n        uint64
	revision uint64

	mu    sync.Mutex
	until time.Time // it is held
}

// acquire returns when this process leads, or with an error when that cannot be found
// out or ctx ends. What it saw before counts when it is called again.
func (l *lease) acquire(ctx context.Context) error {
	for {
		var have leaseRecord
		revision, err := l.bucket.load(ctx, keyLeader, &have)
		if err != nil {
			return err
		}
		now := time.Now()
		// One of this process itself is of a leadership that has ended.
		free := revision == 0 || have.Holder == "" || have.Holder == l.holder
		if !free && revision != l.seen {
			l.seen, l.since = revision, now
		}
		if free || now.Sub(l.since) >= l.times.patience {
			err := l.take(ctx, revision)
			if !errors.Is(err, poller.ErrNotLeader) {
				return err // otherwise somebody was faster
			}
		}
		if !backoff.Sleep(ctx, l.times.look) {
			return ctx.Err()
		}
	}
}

// take begins a leadership in the place of the lease with the revision.
func (l *lease) take(ctx context.Context, revision uint64) error {
	l.holder, l.n, l.revision, l.seen = rand.Text(), 0, revision, 0
	return l.renew(ctx)
}

// renew prolongs the lease. The error wraps [poller.ErrNotLeader] when another process has it;
// after any other it may be tried again, as long as the lease is held.
func (l *lease) renew(ctx context.Context) error {
	began := time.Now()
	mine := leaseRecord{Process: l.process, Holder: l.holder, N: l.n + 1}
	revision, err := l.bucket.put(ctx, keyLeader, mine, l.revision)
	if err != nil {
		// It may be there all the same, and its answer lost; now or the last time.
		var have leaseRecord
		at, readErr := l.bucket.load(ctx, keyLeader, &have)
		if readErr != nil || have.Holder != l.holder {
			return fmt.Errorf("taking the lead: %w", err)
		}
		if have != mine { // it is ours, but an older one
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

// withoutNotLeader is an error that says only its text.
type withoutNotLeader struct{ error }

// Unwrap returns nothing.
func (withoutNotLeader) Unwrap() error { return nil }

// heldUntil is when the lease ends by itself.
func (l *lease) heldUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// keep renews the lease until ctx ends, and returns an error when it has it no more.
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

// release gives the lease up, so that nobody need wait for it to end.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	l.until = time.Time{}
	l.mu.Unlock()
	_, err := l.bucket.put(ctx, keyLeader, leaseRecord{}, l.revision)
	return err
}
