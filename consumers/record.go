package consumers

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// maxAttempts is how many attempts a record keeps: the first one, and the
	// last ones. Their number is counted beyond it.
	maxAttempts = 16
	// maxError bounds what is kept of an error, in bytes.
	maxError = 1 << 10
)

// state is what becomes of an event.
type state string

const (
	stateFailing state = ""        // it waits for its next attempt
	stateRunning state = "running" // an attempt began; only where a consumer acts once
	stateDone    state = "done"
	stateDead    state = "dead"
)

// record is what is remembered of an event.
type record struct {
	// Event is its id.
	Event string `json:"event"`
	State state  `json:"state,omitempty"`
	// AfterDead: it came again, or is done, and there may still be a dead letter of it.
	AfterDead bool `json:"after_dead,omitempty"`

	Failures int                    `json:"failures,omitempty"`
	First    time.Time              `json:"first,omitzero"`
	Attempts []bridge.FailedAttempt `json:"attempts,omitempty"`
	// Crashes counts the attempts in a row that began and of which nobody knows
	// how they ended, where a consumer acts once.
	Crashes int `json:"crashes,omitempty"`

	// Seq and Delivery say which delivery of which message this was written for:
	// those before it are accounted for.
	Seq      uint64 `json:"seq,omitempty"`
	Delivery uint64 `json:"delivery,omitempty"`
	// At is when an attempt that is running last said so.
	At time.Time `json:"at,omitzero"`
}

// with returns the record with one more failed attempt. What the one before it noted
// is cut.
func (r record) with(event string, a bridge.FailedAttempt) record {
	if r.Failures == 0 {
		r.First = a.At
	}
	r.Event, r.State, r.Crashes = event, stateFailing, 0
	r.Failures++
	attempts := append([]bridge.FailedAttempt(nil), r.Attempts...)
	if n := len(attempts); n > 0 {
		attempts[n-1].Note = printable.Truncate(attempts[n-1].Note, maxNote)
	}
	attempts = append(attempts, a)
	if len(attempts) > maxAttempts {
		attempts = append(attempts[:1], attempts[2:]...)
	}
	r.Attempts = attempts
	return r
}

// firstFailed is when the first failed attempt ended, or began when no more is known of it;
// zero when none has failed.
func (r record) firstFailed() time.Time {
	if r.Failures == 0 || len(r.Attempts) == 0 {
		return r.First
	}
	return r.Attempts[0].At.Add(time.Duration(r.Attempts[0].Took) * time.Millisecond)
}

// unsettled is how many deliveries of the message before this one are accounted for
// by nobody: a process was killed, or an acknowledgement lost.
func (r record) unsettled(seq, delivery uint64) int {
	settled := uint64(0)
	if r.Seq == seq {
		settled = r.Delivery
	}
	if delivery <= settled+1 {
		return 0
	}
	return int(delivery - 1 - settled)
}
