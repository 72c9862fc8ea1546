// Package attemptrecord stores attempt records of a consumer: how often an event failed and,
// for a consumer that acts once, which attempt is running and what is done. Programs that run
// package consumers write the records; bridges read them too.
package attemptrecord

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// MaxAttempts is how many attempts a record keeps: the first, and the last ones. The number
	// of attempts counts all.
	MaxAttempts = 16
	// MaxNote bounds the note of an attempt other than the last, in bytes.
	MaxNote = 1 << 10
	// MaxError bounds an error, in bytes.
	MaxError = 1 << 10
)

// State is the state of an event.
type State string

// States of an event.
const (
	Failing State = ""        // it waits for its next attempt
	Running State = "running" // an attempt began; only of a consumer that acts once
	Done    State = "done"
	Dead    State = "dead"
)

// Record is the attempt record of an event.
type Record struct {
	// Event is the event id.
	Event string `json:"event"`
	State State  `json:"state,omitempty"`
	// AfterDead: the event came again, or is done, and may still have a dead letter.
	AfterDead bool `json:"after_dead,omitempty"`

	Failures int                    `json:"failures,omitempty"`
	First    time.Time              `json:"first,omitzero"`
	Attempts []bridge.FailedAttempt `json:"attempts,omitempty"`
	// Crashes counts the latest attempts in a row that began and have no known end, of a
	// consumer that acts once.
	Crashes int `json:"crashes,omitempty"`

	// Seq and Delivery identify the message and the delivery of this record; earlier deliveries
	// are accounted for.
	Seq      uint64 `json:"seq,omitempty"`
	Delivery uint64 `json:"delivery,omitempty"`
	// At is when the running attempt last reported that it runs, by its own clock.
	At time.Time `json:"at,omitzero"`
}

// With returns the record with one more failed attempt. It cuts the note of the attempt before.
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

// FirstFailed is when the first failed attempt ended, or else began; zero if none has failed.
func (r Record) FirstFailed() time.Time {
	if r.Failures == 0 || len(r.Attempts) == 0 {
		return r.First
	}
	return r.Attempts[0].At.Add(time.Duration(r.Attempts[0].Took) * time.Millisecond)
}

// Unsettled is how many earlier deliveries of the message are unaccounted for: a process was
// killed, or an acknowledgement lost.
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
