package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/internal/consumerstate"
)

// ConsumerState is what the bridge knows of one durable reader of events.
type ConsumerState struct {
	Name string `json:"name"`
	// Kind is the configured one; empty for a durable that no configuration has named.
	// Missing: it is configured and there is no durable. Orphaned: the durable was made
	// for a configuration, and that of this bridge does not name it.
	Kind     string `json:"kind,omitempty"`
	Missing  bool   `json:"missing,omitempty"`
	Orphaned bool   `json:"orphaned,omitempty"`
	// State, Since, Reason and Failures are what [ConsumerState.Judge] made of the
	// other fields and of what the consumer's processes report. Since is zero and
	// Reason empty where the state has none. Reason is one line of at most
	// [MaxReason] bytes before its escapes, without control characters. Failures is how many
	// attempts in a row failed, of a consumer that is failing.
	State    consumerstate.State `json:"state"`
	Since    time.Time           `json:"since,omitzero"`
	Reason   string              `json:"reason,omitempty"`
	Failures int                 `json:"failures,omitempty"`
	// Filter are the subjects that the durable reads.
	Filter  []string  `json:"filter,omitempty"`
	Created time.Time `json:"created,omitzero"`
	// Pending events were not delivered yet; Unsettled ones are with a worker or wait
	// with the durable for their next attempt; Later ones wait for one that is far
	// away. Redelivered counts those of the unsettled that were delivered before.
	Pending     uint64 `json:"pending"`
	Unsettled   int    `json:"unsettled"`
	Redelivered int    `json:"redelivered"`
	Later       uint64 `json:"later"`
	// Exhausted is how many events, at least, were delivered as often as they may be
	// and have no dead letter. Of a durable that delivers once alone the server does
	// not say (nats-server 2.15.2).
	Exhausted int `json:"exhausted,omitempty"`
	// Dead is how many dead letters it has.
	Dead uint64 `json:"dead"`
	// Waiting is how many requests for events its programs have open; none means that
	// none is there, or that all are busy.
	Waiting int `json:"waiting"`
	// Unread: events wait, no program asks for them, and for a lease none was
	// delivered.
	Unread bool `json:"unread,omitempty"`
	// PausedUntil is set while it is paused.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	// LastDelivered is when an event was last delivered.
	LastDelivered time.Time `json:"last_delivered,omitzero"`
	// Delivered is the stream sequence of the newest event that it was given, and
	// Acknowledged is one up to which it needs no event any more.
	Delivered    uint64 `json:"delivered"`
	Acknowledged uint64 `json:"acknowledged"`
}

// Outstanding is how many events the consumer has not settled.
func (s ConsumerState) Outstanding() uint64 { return s.Pending + uint64(s.Unsettled) + s.Later }

// LeftBehind is where events wait that no consumer is given, because nats.url or
// nats.prefix has changed.
type LeftBehind struct {
	// Store is "embedded" or the addresses of an external NATS.
	Store  string `json:"store"`
	Prefix string `json:"prefix"`
	// Waiting is how many events wait there at least, and CountedAt is when.
	Waiting   uint64    `json:"waiting"`
	CountedAt time.Time `json:"counted_at"`
	// Text says in words what to do.
	Text string `json:"text"`
}

// ConsumerPosition is where a consumer goes on. One of its fields is set.
type ConsumerPosition struct {
	// First is the oldest event that is stored, New the next one that comes.
	First bool `json:"first,omitempty"`
	New   bool `json:"new,omitempty"`
	// Since is the first event that was stored then or later.
	Since time.Time `json:"since,omitzero"`
	// Sequence is that of an event in its stream.
	Sequence uint64 `json:"seq,omitempty"`
}

// ConsumerSeek is a consumer's way to another position.
type ConsumerSeek struct {
	// From was the sequence behind the last event that it was given, To is that from
	// which it goes on.
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
	// Left is how many events before To, at most, it was given and has not settled:
	// those that are with a worker, or wait with the durable for their next attempt.
	// They are not given again.
	Left int `json:"left,omitempty"`
}

// RemovedConsumer is what went with a consumer.
type RemovedConsumer struct {
	// Unsettled events were not handled by the consumer, Later of them wait for
	// another attempt, Remembered is what it remembers of events.
	Unsettled  uint64 `json:"unsettled"`
	Later      uint64 `json:"later"`
	Remembered uint64 `json:"remembered"`
	// Dead letters stay: they are events that somebody may still need.
	Dead uint64 `json:"dead"`
}
