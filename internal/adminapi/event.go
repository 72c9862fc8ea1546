package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Event is an event as the API shows it.
type Event struct {
	Seq        uint64    `json:"seq"`
	StoredAt   time.Time `json:"stored_at"`
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Source     string    `json:"source"`
	Prediction string    `json:"prediction"`
	Model      string    `json:"model,omitempty"`
	Status     string    `json:"status"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	BodyBytes  int       `json:"body_bytes"`
}

// EventDetail is a whole event. Problem is set when the message is none.
type EventDetail struct {
	Event
	Subject string        `json:"subject"`
	Problem string        `json:"problem,omitempty"`
	Header  bridge.Header `json:"header"`
	Content
}

// EventList is a page of events.
type EventList struct {
	Events []Event `json:"events"`
	Listed
}

// EventCall says which events are meant, and who is given them again.
type EventCall struct {
	Consumer string `json:"consumer"`
	// Run tells this replay from any other: within two hours an event is given once
	// for one run, so a call that is repeated gives nothing twice. Without it every
	// call is another one.
	Run string `json:"run,omitempty"`
	// Event is the kind of the events: prediction unless it is given, or that which
	// the consumer is configured to read.
	FilterCall
	Prediction string    `json:"prediction,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Page
	RedeliveryOptions
}
