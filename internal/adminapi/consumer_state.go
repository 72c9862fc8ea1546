package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/internal/consumerstate"
)

// ConsumerState is the state of one durable on the stream of events.
type ConsumerState struct {
	Name string `json:"name"`
	// Kind is the configured kind; empty for a durable that was never configured. Missing: the
	// consumer is configured and has no durable. Orphaned: a configuration made the durable,
	// and this bridge's configuration does not name it.
	Kind     string `json:"kind,omitempty"`
	Missing  bool   `json:"missing,omitempty"`
	Orphaned bool   `json:"orphaned,omitempty"`
	// State, Since, Reason and Failures are set by [ConsumerState.Judge]. Since is zero and
	// Reason empty for a state without them. Reason is one line of at most [MaxReason] bytes
	// before escaping, without control characters. Failures is how many attempts in a row
	// failed, of a failing consumer.
	State    consumerstate.State `json:"state"`
	Since    time.Time           `json:"since,omitzero"`
	Reason   string              `json:"reason,omitempty"`
	Failures int                 `json:"failures,omitempty"`
	// Filter are the subjects that the durable reads.
	Filter  []string  `json:"filter,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// StartSeq is the sequence of the first event that the durable was made for, StartTime when
	// that was stored at the earliest. Both are zero for one that began with the oldest event.
	StartSeq  uint64    `json:"start_seq,omitempty"`
	StartTime time.Time `json:"start_time,omitzero"`
	// Pending events were not delivered yet. Unsettled ones are with a worker, or wait with the
	// durable for their next attempt. Later ones wait for a distant attempt. Redelivered counts
	// the unsettled ones that were delivered before.
	Pending     uint64 `json:"pending"`
	Unsettled   int    `json:"unsettled"`
	Redelivered int    `json:"redelivered"`
	Later       uint64 `json:"later"`
	// Exhausted is a lower bound of the events that were delivered as often as allowed and have
	// no dead letter. For a durable with a single delivery the server does not tell
	// (nats-server 2.15.2).
	Exhausted int `json:"exhausted,omitempty"`
	// Dead is how many dead letters it has.
	Dead uint64 `json:"dead"`
	// Waiting is how many fetches the consumer's programs have open; zero means that no program
	// runs, or that all are busy.
	Waiting int `json:"waiting"`
	// Unread: events wait, no program fetches, and none was delivered for a lease.
	Unread bool `json:"unread,omitempty"`
	// PausedUntil is zero unless the consumer is paused.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// LastDelivered is when an event was last delivered.
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	// Delivered is the stream sequence of the newest delivered event. The consumer needs no
	// event up to Acknowledged any more.
	Delivered    uint64 `json:"delivered"`
	Acknowledged uint64 `json:"acknowledged"`
}

// Outstanding is how many events the consumer has not settled.
func (s ConsumerState) Outstanding() uint64 { return s.Pending + uint64(s.Unsettled) + s.Later }

// LeftBehind is a place with events that no consumer gets, because nats.url or nats.prefix has
// changed.
type LeftBehind struct {
	// Store is "embedded" or the addresses of an external NATS.
	Store  string `json:"store"`
	Prefix string `json:"prefix"`
	// Waiting is a lower bound of the waiting events, counted at CountedAt.
	Waiting   uint64    `json:"waiting"`
	CountedAt time.Time `json:"counted_at"`
	// Text says what to do.
	Text string `json:"text"`
}

// ConsumerPosition is a position in the stream of events. One of its fields is set.
type ConsumerPosition struct {
	// First is the oldest stored event, New the next event to come.
	First bool `json:"first,omitempty"`
	New   bool `json:"new,omitempty"`
	// Since is the first event stored then or later.
	Since time.Time `json:"since,omitzero"`
	// Sequence is the stream sequence of an event.
	Sequence uint64 `json:"seq,omitempty"`
}

// ConsumerSeek is the result of a seek.
type ConsumerSeek struct {
	// From was the sequence after the last delivered event; To is the new position.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Left is an upper bound of the events before To that were delivered and are not settled:
	// with a worker, or waiting with the durable for their next attempt. They are not delivered
	// again.
	Left int `json:"left,omitempty"`
}

// RemovedConsumer is what was removed with a consumer.
type RemovedConsumer struct {
	// Unsettled events were not handled, of which Later ones waited for another attempt.
	// Remembered is the number of attempt records.
	Unsettled  uint64 `json:"unsettled"`
	Later      uint64 `json:"later"`
	Remembered uint64 `json:"remembered"`
	// Dead letters stay: somebody may still need their events.
	Dead uint64 `json:"dead"`
}
