// Package attemptrecord keeps what is remembered of the attempts of a consumer: how often an
// event failed, and, where the consumer acts once, which attempt is running and what is done.
// Programs that run package consumers write the records; bridges read them too.
package attemptrecord

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// MaxAttempts is how many attempts a record keeps: the first one, and the
	// last ones. Their number is counted beyond it.
	MaxAttempts = 16
	// MaxNote bounds what is kept of the note of an attempt that is not the last, in bytes.
	MaxNote = 1 << 10
	// MaxError bounds what is kept of an error, in bytes.
	MaxError = 1 << 10
)

// State is what becomes of an event.
type State string

// States of an event.
const (
	Failing State = ""        // it waits for its next attempt
	Running State = "running" // an attempt began; only where a consumer acts once
	Done    State = "done"
	Dead    State = "dead"
)

// Record is what is remembered of an event.
type Record struct {
	// Event is its id.
	Event string `json:"event"`
	State State  `json:"state,omitempty"`
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

// With returns the record with one more failed attempt. What the one before it noted
// is cut.
func (r Record) With(event string, a bridge.FailedAttempt) Record {
	if r.Failures == 0 {
		r.First = a.At
	}
	r.Event, r.State, r.Crashes = event, Failing, 0
	r.Failures++
	attempts := append([]bridge.FailedAttempt(nil), r.Attempts...)
	if n := len(attempts); n > 0 {
		attempts[n-1].Note = printable.Truncate(attempts[n-1].Note, MaxNote)
	}
	attempts = append(attempts, a)
	if len(attempts) > MaxAttempts {
		attempts = append(attempts[:1], attempts[2:]...)
	}
	r.Attempts = attempts
	return r
}

// FirstFailed is when the first failed attempt ended, or began when no more is known of it;
// zero when none has failed.
func (r Record) FirstFailed() time.Time {
	if r.Failures == 0 || len(r.Attempts) == 0 {
		return r.First
	}
	return r.Attempts[0].At.Add(time.Duration(r.Attempts[0].Took) * time.Millisecond)
}

// Unsettled is how many deliveries of the message before this one are accounted for
// by nobody: a process was killed, or an acknowledgement lost.
func (r Record) Unsettled(seq, delivery uint64) int {
	settled := uint64(0)
	if r.Seq == seq {
		settled = r.Delivery
	}
	if delivery <= settled+1 {
		return 0
	}
	return int(delivery - 1 - settled)
}
