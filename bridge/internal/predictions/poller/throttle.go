package poller

import (
	"sync"
	"time"

	"github.com/hookspan/hookspan/internal/backoff"
)

// throttle decides when a provider may be polled, by its answers. A poll that began before
// the last pause does not lengthen the next one: several polls are in flight, and one cause
// fails them all. It is safe for concurrent use.
type throttle struct {
	times *timings

	mu     sync.Mutex
	until  time.Time // the end of the pause
	paused time.Time // the start of the pause
	// limited counts pauses in a row that the provider asked for, spaced those after
	// failures.
	limited, spaced int
	failures        int       // in a row
	told            time.Time // when the provider last told a status
}

// answered notes an answer; status says whether it told the status of a prediction. A pause
// goes on.
func (t *throttle) answered(now time.Time, status bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limited, t.spaced, t.failures = 0, 0, 0
	if status {
		t.told = now
	}
}

// later notes that the provider refuses polls for the time after, zero for unspecified; the
// poll began at began. It returns the number of pauses in a row.
func (t *throttle) later(began, now time.Time, after time.Duration) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	if began.After(t.paused) {
		t.limited++
	}
	first := after
	if first <= 0 {
		first = t.times.later
	}
	own := backoff.Doubled(min(first, t.times.laterMax), max(t.limited, 1)-1, t.times.laterMax)
	t.pause(now, max(own, min(after, t.times.laterSaid)))
	return t.limited
}

// failed notes that a poll, begun at began, failed. It returns the failures in a row.
func (t *throttle) failed(began, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures++
	// A single failure can be about its prediction.
	if t.failures > 1 && began.After(t.paused) {
		t.spaced++
		t.pause(now, backoff.Doubled(t.times.spacing, t.spaced-1, t.times.spacingMax))
	}
	return t.failures
}

func (t *throttle) pause(now time.Time, d time.Duration) {
	t.paused = now
	t.until = later(t.until, now.Add(d))
}

// pausedUntil returns the end of the pause; it is not after now when there is none.
func (t *throttle) pausedUntil() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until
}

// troubled reports whether the last poll failed: then polls go out one at a time.
func (t *throttle) troubled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures > 0 || t.limited > 0
}

// tellsOthers reports whether the provider tells of predictions other than one whose poll
// failed: it has told a status within the longest backoff, and few polls have failed since.
func (t *throttle) tellsOthers(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures < failuresTold && !t.told.IsZero() && now.Sub(t.told) <= t.times.backoffMax
}
