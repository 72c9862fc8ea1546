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

// NewEvent returns an event as lists show it. A message that is no event has a nil one.
func NewEvent(seq uint64, storedAt time.Time, bodyBytes int, e *bridge.Event) Event {
	out := Event{Seq: seq, StoredAt: storedAt, BodyBytes: bodyBytes}
	if e != nil {
		out.ID, out.Type, out.Source, out.Prediction = e.ID, e.Type, e.Source, e.PredictionID
		out.Model, out.Status, out.ReceivedAt = e.Model, e.Status, e.ReceivedAt
	}
	return out
}

// EventDetail is a whole event. Problem is set when the message is no event.
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

// EventCall selects events, and the consumer that gets them again.
type EventCall struct {
	Consumer string `json:"consumer"`
	// Run identifies a replay: within two hours it gives an event once per run, so a repeated
	// call gives nothing twice. Without it every call is a run of its own.
	Run string `json:"run,omitempty"`
	// Event is the kind of the events, default prediction, or what the consumer is configured
	// to read.
	FilterCall
	Prediction string    `json:"prediction,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Page
	RedeliveryOptions
}
