package consumers

import (
	"cmp"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/internal/backoff"
)

// MaxRetryDelay is the longest wait before another attempt.
const MaxRetryDelay = 7 * 24 * time.Hour

// ShortRetryDelay is the longest wait of an event that stays with its durable. The server
// grants a durable a limited number of unacknowledged events, and an event that waits is one of
// them: long waits there would hold up fresh events. An event that waits longer lies in a stream
// of its own meanwhile.
const ShortRetryDelay = 2 * time.Minute

// Retry says when a failed event is tried again. The zero value is the default.
type Retry struct {
	// First is the wait after the first failed attempt, default 1 s, or Max when
	// that is shorter. The wait doubles with every further failed attempt.
	First time.Duration
	// Max bounds the wait, default 6 h, at most [MaxRetryDelay].
	Max time.Duration
	// GiveUpAfter is how long after the first failed attempt a failed event
	// becomes a dead letter, default 72 h.
	GiveUpAfter time.Duration
}

// WithDefaults returns the policy with the value in use of every field.
func (r Retry) WithDefaults() Retry {
	longest := cmp.Or(r.Max, 6*time.Hour)
	return Retry{
		First:       cmp.Or(r.First, min(time.Second, longest)),
		Max:         longest,
		GiveUpAfter: cmp.Or(r.GiveUpAfter, 72*time.Hour),
	}
}

// Validate returns an error that names the first value that cannot be used.
func (r Retry) Validate() error {
	r = r.WithDefaults()
	switch {
	case r.First < 0 || r.Max < 0 || r.GiveUpAfter < 0:
		return fmt.Errorf("retry: first %v, max %v, give up after %v: none may be negative", r.First, r.Max, r.GiveUpAfter)
	case r.Max > MaxRetryDelay:
		return fmt.Errorf("retry: max is %v, it can be at most %v", r.Max, MaxRetryDelay)
	case r.First > r.Max:
		return fmt.Errorf("retry: first is %v, more than max, which is %v", r.First, r.Max)
	}
	return nil
}

// backoff is the wait after the given number of failed attempts, 1 or more. Half of the wait is
// random, so that events that failed together do not come back together.
func (r Retry) backoff(attempts int) time.Duration {
	return backoff.Spread(backoff.Doubled(r.First, attempts-1, r.Max))
}

// longest is the longest backoff of an event that stays with its durable, half of it random.
func (r Retry) longest() time.Duration { return backoff.Spread(min(r.Max, ShortRetryDelay)) }
