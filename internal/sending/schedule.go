// Package sending sends webhooks as Get3W does: what their bodies are, which headers prove them,
// when the provider tries again, and when it gives up.
package sending

import (
	"context"
	"errors"
	"time"

	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// Timeout is how long the provider waits for an answer.
	Timeout = 30 * time.Second
	// leastTimeout bounds the wait at any speed: receivers have no faster clock, and a bridge
	// answers within 5 s by default.
	leastTimeout = 8 * time.Second
)

// gaps are the documented waits before the second and each further attempt. The documentation
// does not say whether they count from the attempt before or from the first one; as gaps the
// provider tries for longer, so that a copy can come later.
var gaps = []time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second}

// ErrAbandoned means that the last attempt has failed.
var ErrAbandoned = errors.New("abandoned")

// Schedule is when a webhook is tried again.
type Schedule struct {
	// Gaps are between the end of an attempt and the beginning of the next.
	Gaps []time.Duration
	// Timeout is how long each attempt waits for its answer.
	Timeout time.Duration
}

// NewSchedule returns the provider's schedule with time passing faster by speed, which is above
// 0. The timeout is 8 s at least.
func NewSchedule(speed float64) Schedule { return Faster(gaps, Timeout, speed) }

// Faster returns the schedule of another sender in the same way.
func Faster(gaps []time.Duration, timeout time.Duration, speed float64) Schedule {
	scaled := func(d time.Duration) time.Duration { return time.Duration(float64(d) / speed) }
	s := Schedule{Timeout: max(scaled(timeout), leastTimeout)}
	for _, gap := range gaps {
		s.Gaps = append(s.Gaps, scaled(gap))
	}
	return s
}

// Span is how long a webhook is tried when each attempt takes that long. A longer outage
// outlives every attempt.
func (s Schedule) Span(attempt time.Duration) time.Duration {
	sum := attempt
	for _, gap := range s.Gaps {
		sum += gap + attempt
	}
	return sum
}

// Deliver calls attempt until it returns true. The error is [ErrAbandoned] after the last
// attempt, or that of ctx.
func (s Schedule) Deliver(ctx context.Context, attempt func() bool) error {
	for tries := 0; ; tries++ {
		switch ok := attempt(); {
		case ok:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case tries == len(s.Gaps):
			return ErrAbandoned
		}
		if !backoff.Sleep(ctx, s.Gaps[tries]) {
			return ctx.Err()
		}
	}
}
