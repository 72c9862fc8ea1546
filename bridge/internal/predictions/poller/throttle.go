package poller

import (
	"sync"
	"time"

	"github.com/hookspan/hookspan/internal/backoff"
)

// throttle says when a provider may be asked, by how it has answered. A poll that
// began before the last pause cannot make the next one longer: several are on their way
// at a time, and one cause makes all of them fail. It is safe for concurrent use.
type throttle struct {
	times *timings

	mu     sync.Mutex
	until  time.Time // the pause
	paused time.Time // when it began
	// limited is how many pauses there were in a row because the provider said so,
	// spaced because everything failed.
	limited, spaced int
	failures        int       // in a row
	told            time.Time // when it last told the status of a prediction
}

// answered is told of an answer; status says whether the provider told the status of a
// prediction. A pause goes on.
func (t *throttle) answered(now time.Time, status bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limited, t.spaced, t.failures = 0, 0, 0
	if status {
		t.told = now
	}
}

// later is told that the provider does not want to be asked for a while, zero when it
// did not say for how long, by the reply to a poll that began at began. It returns
// how many pauses there were in a row.
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

// failed is told of a poll, begun at began, that was not answered as it should,
// and returns how many failed in a row.
func (t *throttle) failed(began, now time.Time) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures++
	// One alone can be about its prediction.
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

// pausedUntil is until when the provider is left alone, not after now when it is not.
func (t *throttle) pausedUntil() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.until
}

// troubled reports whether the last question failed: one is asked at a time then.
func (t *throttle) troubled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures > 0 || t.limited > 0
}

// tellsOthers reports whether the provider tells of predictions other than one for which
// a question failed: it has done so within the longest time between two questions for
// one, and few have failed since.
func (t *throttle) tellsOthers(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failures < failuresTold && !t.told.IsZero() && now.Sub(t.told) <= t.times.backoffMax
}
