// Package backoff spaces retries.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Doubled returns first times two to the power of n, at most limit. A negative n counts as 0.
func Doubled(first time.Duration, n int, limit time.Duration) time.Duration {
	d := first
	for range n {
		if d >= limit/2 {
			return limit
		}
		d *= 2
	}
	return min(d, limit)
}

// Spread returns a random time between half of d and d, so that those who failed together do
// not retry together.
func Spread(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) } //nolint:gosec // only for spreading

// Backoff counts tries: each wait is twice as long as the one before, from First up to Max. It
// belongs to one goroutine.
type Backoff struct {
	First, Max time.Duration

	tries int
}

// Next returns the next wait.
func (b *Backoff) Next() time.Duration {
	d := Doubled(b.First, b.tries, b.Max)
	if d < b.Max {
		b.tries++
	}
	return d
}

// Reset makes the next wait the first one, after a success.
func (b *Backoff) Reset() { b.tries = 0 }

// Wait waits for the next time. It returns false when ctx ends before.
func (b *Backoff) Wait(ctx context.Context) bool { return Sleep(ctx, b.Next()) }

// Sleep waits for d. It returns false when ctx ends before.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
