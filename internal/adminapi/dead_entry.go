package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// DeadEntry is a dead letter in its stream.
type DeadEntry struct {
	// Sequence is that in the stream of dead letters.
	Sequence uint64
	StoredAt time.Time
	bridge.DeadLetter
	// Event is what the consumer gave up on; nil when the dead letter holds none: a record
	// of expired events, or a message that could not be decoded. Problem says why then.
	Event   *bridge.Event
	Problem string
	// Header and Body are those of the message.
	Header bridge.Header
	Body   []byte
}

// DeadSelection says which dead letters are meant. Its zero value is all.
type DeadSelection struct {
	// Consumer, Cause and Prediction are empty for every one.
	Consumer   string
	Cause      bridge.DeadCause
	Prediction string
	// Sequences names dead letters.
	Sequences []uint64
	// After leaves out the dead letters up to that sequence.
	After uint64
	// Before leaves out the dead letters from that sequence on, unless it is zero.
	Before uint64
	// Newest is the order of a list: the last one first.
	Newest bool
	// Limit bounds how many dead letters are looked at; 0 is no limit.
	Limit int
}

// Match reports whether the selection's consumer, cause and prediction are those of
// the dead letter.
func (s DeadSelection) Match(e *DeadEntry) bool {
	return (s.Consumer == "" || s.Consumer == e.Consumer) && (s.Cause == "" || s.Cause == e.Cause) &&
		(s.Prediction == "" || e.Event != nil && s.Prediction == e.Event.PredictionID)
}

// EventSelection says which stored events are meant. Its zero value is all
// events of predictions; with Sequences alone events of any kind are.
type EventSelection struct {
	Filter bridge.Filter
	// Prediction is empty for every one.
	Prediction string
	// Since and Until bound when an event was stored, Until not included; zero is no
	// bound.
	Since, Until time.Time
	// Sequences names events.
	Sequences []uint64
	// After leaves out the events up to that sequence.
	After uint64
	// Before leaves out the events from that sequence on, unless it is zero.
	Before uint64
	// Newest is the order of a list: the last one first.
	Newest bool
	// Limit bounds how many events are looked at; 0 is no limit.
	Limit int
}

// Match reports whether the entry is an event of the selection, whatever its sequence.
func (s EventSelection) Match(e *EventEntry) bool {
	return e.Event != nil && (s.Named() && s.Filter.IsZero() || s.Filter.Match(e.Event)) && (s.Prediction == "" || s.Prediction == e.Event.PredictionID) &&
		!e.StoredAt.Before(s.Since) && (s.Until.IsZero() || e.StoredAt.Before(s.Until))
}

// Named reports whether the selection names events by their sequence.
func (s EventSelection) Named() bool { return len(s.Sequences) > 0 }

// EventEntry is an event in its stream.
type EventEntry struct {
	Sequence uint64
	StoredAt time.Time
	Subject  string
	// Event is nil when the message is none. Problem says why then.
	Event   *bridge.Event
	Problem string
	Header  bridge.Header
	Body    []byte
}

// RedeliveryOptions say how events are given to a consumer again.
type RedeliveryOptions struct {
	// DryRun changes nothing and says what would happen.
	DryRun bool `json:"dry_run,omitempty"`
	// Rate bounds how many events a second are given, 0.1 to 1000000; 0 is no bound.
	Rate float64 `json:"rate,omitempty"`
	// Handled gives events again also when the consumer has handled them since.
	Handled bool `json:"handled,omitempty"`
}

// RedeliveryReport says what became of the entries of a selection. Each that was
// looked at is counted in one of the next four.
type RedeliveryReport struct {
	// DryRun is set when nothing was changed: the counts are what would be.
	DryRun   bool `json:"dry_run"`
	LookedAt int  `json:"looked_at"`
	// Given come again for their consumer.
	Given int `json:"given"`
	// Skipped were handled by their consumer since, so they were not given again.
	Skipped int `json:"skipped"`
	// Remaining stay as they are, by why they cannot be given.
	Remaining map[string]int `json:"remaining"`
	// Dropped were removed without being given.
	Dropped int `json:"dropped"`
	// More is set when there may be more than were looked at. Last is the sequence
	// of the last one that was looked at, to go on after.
	More bool   `json:"more"`
	Last uint64 `json:"last"`
	// Stopped says why it ended early, in words; what was counted is done.
	Stopped string `json:"stopped,omitempty"`
}
