package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// DeadEntry is a dead letter in its stream.
type DeadEntry struct {
	// Sequence is the one in the stream of dead letters.
	Sequence uint64
	StoredAt time.Time
	bridge.DeadLetter
	// Event is the event that the consumer gave up on. It is nil for a record of expired
	// events, and for an unreadable message, of which Problem says why.
	Event   *bridge.Event
	Problem string
	// Header and Body are those of the message.
	Header bridge.Header
	Body   []byte
}

// DeadSelection selects dead letters. Its zero value selects all.
type DeadSelection struct {
	// Consumer, Cause and Prediction select all when empty.
	Consumer   string
	Cause      bridge.DeadCause
	Prediction string
	// Group is the id of a [DeadGroup], empty for all. Match does not heed it.
	Group string
	// Cursor is the Next of the page before, for lists; empty begins with the newest.
	Cursor string
	// Sequences names dead letters.
	Sequences []uint64
	// After excludes the dead letters up to that sequence.
	After uint64
	// Before, unless zero, excludes the dead letters from that sequence on.
	Before uint64
	// Newest orders a list from the last one to the first.
	Newest bool
	// Limit bounds the dead letters looked at; 0 is no limit.
	Limit int
}

// Match reports whether the selection has the consumer, cause and prediction of the dead
// letter.
func (s DeadSelection) Match(e *DeadEntry) bool {
	return (s.Consumer == "" || s.Consumer == e.Consumer) && (s.Cause == "" || s.Cause == e.Cause) &&
		(s.Prediction == "" || e.Event != nil && s.Prediction == e.Event.PredictionID)
}

// NewDeadLetter returns the dead letter as the API shows it.
func NewDeadLetter(e *DeadEntry) DeadLetter {
	out := DeadLetter{
		Seq: e.Sequence, DiedAt: e.StoredAt, Consumer: e.Consumer, Cause: e.Cause, Fault: e.Fault, Error: e.Error,
		Attempts: e.Attempts, Redrives: e.Redrives, EventSeq: e.DeadLetter.Sequence, Problem: e.Problem,
	}
	if ev := e.Event; ev != nil {
		out.Event, out.Source, out.Prediction, out.Model, out.Status = ev.ID, ev.Source, ev.PredictionID, ev.Model, ev.Status
	}
	return out
}

// EventSelection selects stored events. Its zero value selects all events of predictions;
// Sequences alone selects events of any kind.
type EventSelection struct {
	Filter bridge.Filter
	// Prediction selects all when empty.
	Prediction string
	// Cursor is the Next of the page before, for lists; empty begins with the newest.
	Cursor string
	// Since and Until bound when an event was stored, Until excluded; zero is no bound.
	Since, Until time.Time
	// Sequences names events.
	Sequences []uint64
	// After excludes the events up to that sequence.
	After uint64
	// Before, unless zero, excludes the events from that sequence on.
	Before uint64
	// Newest orders a list from the last one to the first.
	Newest bool
	// Limit bounds the events looked at; 0 is no limit.
	Limit int
}

// Match reports whether the selection has the event, apart from its sequence.
func (s EventSelection) Match(e *EventEntry) bool {
	return e.Event != nil && (s.Named() && s.Filter.IsZero() || s.Filter.Match(e.Event)) && (s.Prediction == "" || s.Prediction == e.Event.PredictionID) &&
		!e.StoredAt.Before(s.Since) && (s.Until.IsZero() || e.StoredAt.Before(s.Until))
}

// Named reports whether the selection names events by sequence.
func (s EventSelection) Named() bool { return len(s.Sequences) > 0 }

// EventEntry is an event in its stream.
type EventEntry struct {
	Sequence uint64
	StoredAt time.Time
	Subject  string
	// Event is nil when the message is no event; Problem says why.
	Event   *bridge.Event
	Problem string
	Header  bridge.Header
	Body    []byte
}

// RedeliveryOptions say how to deliver events again.
type RedeliveryOptions struct {
	// DryRun changes nothing and reports what would happen.
	DryRun bool `json:"dry_run,omitempty"`
	// Rate bounds the events per second, 0.1 to 1000000; 0 is no bound.
	Rate float64 `json:"rate,omitempty"`
	// Handled includes events that the consumer has handled since.
	Handled bool `json:"handled,omitempty"`
}

// RedeliveryReport is the result of a redelivery. Each entry looked at counts in one of the
// next four.
type RedeliveryReport struct {
	// DryRun: nothing was changed, and the counts are what would happen.
	DryRun   bool `json:"dry_run"`
	LookedAt int  `json:"looked_at"`
	// Given events come again for their consumer.
	Given int `json:"given"`
	// Skipped events were handled by their consumer since, and not given again.
	Skipped int `json:"skipped"`
	// Remaining entries stay as they are, by the reason why.
	Remaining map[string]int `json:"remaining"`
	// Dropped entries were removed without being given.
	Dropped int `json:"dropped"`
	// More is set when there may be further entries. Last is the last sequence looked at, to go
	// on after.
	More bool   `json:"more"`
	Last uint64 `json:"last"`
	// Stopped says why the call ended early; counted entries are done.
	Stopped string `json:"stopped,omitempty"`
	// Err is the error that Stopped tells; a client does not get it.
	Err error `json:"-"`
}
