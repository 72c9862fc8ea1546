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

// NewEvent returns the event as the API shows it.
func NewEvent(e *EventEntry) Event {
	out := Event{Seq: e.Sequence, StoredAt: e.StoredAt, BodyBytes: len(e.Body)}
	if ev := e.Event; ev != nil {
		out.ID, out.Type, out.Source, out.Prediction = ev.ID, ev.Type, ev.Source, ev.PredictionID
		out.Model, out.Status, out.ReceivedAt = ev.Model, ev.Status, ev.ReceivedAt
	}
	return out
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
