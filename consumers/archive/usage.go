package archive

import (
	"context"
	"sync"
	"time"
)

// recountEvery is the least time between two counts while the archive waits for room: a count
// may cost time and money. Removals in between go unnoticed.
const recountEvery = 5 * time.Minute

// usage is how much an archive with a limit holds: counted once, plus what this process adds.
type usage struct {
	limit int64
	count func(ctx context.Context) (int64, error)
	every time.Duration
	// turn holds a token while somebody counts.
	turn chan struct{}

	mu      sync.Mutex
	bytes   int64
	added   int64     // all that ever was
	held    int64     // for files that are on their way
	counted time.Time // zero: never
}

func newUsage(limit int64, count func(context.Context) (int64, error)) *usage {
	return &usage{limit: limit, count: count, every: recountEvery, turn: make(chan struct{}, 1)}
}

func (u *usage) ready(ctx context.Context) error {
	return u.countUnless(ctx, func() bool { return !u.counted.IsZero() })
}

// recount counts again unless that was done lately, or a file is on its way: that file would be
// counted beside the room it was promised, be dropped for want of room, and again at the next
// count.
func (u *usage) recount(ctx context.Context) error {
	return u.countUnless(ctx, func() bool { return u.held > 0 || time.Since(u.counted) < u.every })
}

// countUnless counts, one caller at a time, unless known returns true; known is called under mu.
func (u *usage) countUnless(ctx context.Context, known func() bool) error {
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	u.mu.Lock()
	enough, before := known(), u.added
	u.mu.Unlock()
	if enough {
		return nil
	}
	n, err := u.count(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	// What was added meanwhile may be counted twice, never left out.
	u.bytes, u.counted = n+u.added-before, time.Now()
	return nil
}

// hold sets n bytes aside, or returns why there is no room. For 0 there always is: promises are
// not taken back.
func (u *usage) hold(n int64) *noRoom {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n > 0 && n > u.limit-u.bytes-u.held {
		return &noRoom{need: n, promised: u.held, limit: u.limit, used: u.bytes}
	}
	u.held += n
	return nil
}

func (u *usage) drop(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.held -= n
}

func (u *usage) add(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes += n
	u.added += n
}

// remove takes back the bytes of a file that is gone, if the file was there when the files
// were counted: what others wrote since then is in no count.
func (u *usage) remove(m measured) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m.at.Before(u.counted) {
		u.bytes -= m.bytes
	}
}
