package main

import "time"

// The provider documents attempts at once and 10, 30 and 60 s after one another,
// waits 30 s for each answer and then gives the webhook up.
var providerGaps = []time.Duration{10 * time.Second, 30 * time.Second, 60 * time.Second}

const (
	providerTimeout = 30 * time.Second
	// minTimeout is the shortest wait for an answer: the bridge's own deadline of
	// 5 s is not scaled, so the sender's must stay behind it as it does in life.
	minTimeout = 8 * time.Second
	// deadline is that of the bridge, by default.
	deadline = 5 * time.Second
)

// schedule is when a sender tries again, with its time scaled.
type schedule struct {
	// gaps are between the end of an attempt and the beginning of the next.
	gaps []time.Duration
	// timeout is how long an answer is waited for.
	timeout time.Duration
}

// newSchedule makes the provider's time pass faster by the factor.
func newSchedule(faster int) schedule {
	s := schedule{timeout: max(providerTimeout/time.Duration(faster), minTimeout)}
	for _, gap := range providerGaps {
		s.gaps = append(s.gaps, gap/time.Duration(faster))
	}
	return s
}

// after returns the wait before the attempt that follows the given one, which
// counts from 0, and false when the sender abandons the webhook instead.
func (s schedule) after(attempt int) (time.Duration, bool) {
	if attempt >= len(s.gaps) {
		return 0, false
	}
	return s.gaps[attempt], true
}

// sum is how long the sender waits between its attempts, all in all.
func (s schedule) sum() time.Duration {
	var sum time.Duration
	for _, gap := range s.gaps {
		sum += gap
	}
	return sum
}

// span is how long the sender tries, when each attempt takes that long. An outage
// that is longer outlives every retry.
func (s schedule) span(attempt time.Duration) time.Duration {
	return s.sum() + time.Duration(len(s.gaps)+1)*attempt
}
