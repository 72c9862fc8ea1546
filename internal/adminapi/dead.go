package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// DeadLetter is a dead letter as the API shows it.
type DeadLetter struct {
	Seq      uint64           `json:"seq"`
	DiedAt   time.Time        `json:"died_at"`
	Consumer string           `json:"consumer"`
	Cause    bridge.DeadCause `json:"cause"`
	Fault    bridge.Fault     `json:"fault"`
	Error    string           `json:"error,omitempty"`
	Attempts int              `json:"attempts"`
	Redrives int              `json:"redrives,omitempty"`
	// EventSeq is the sequence of the event in the stream of events.
	EventSeq uint64 `json:"event_seq,omitempty"`
	// Event is empty when the dead letter holds none; Problem says why if it should.
	Event      string `json:"event,omitempty"`
	Source     string `json:"source,omitempty"`
	Prediction string `json:"prediction,omitempty"`
	Model      string `json:"model,omitempty"`
	Status     string `json:"status,omitempty"`
	Problem    string `json:"problem,omitempty"`
	// Group is the id of its [DeadGroup]; only lists tell it.
	Group string `json:"group,omitempty"`
}

// DeadLetterDetail is a whole dead letter.
type DeadLetterDetail struct {
	DeadLetter
	History []bridge.FailedAttempt `json:"history"`
	Header  bridge.Header          `json:"header"`
	Content
}

// DeadLetterList is a page of dead letters.
type DeadLetterList struct {
	Letters []DeadLetter `json:"letters"`
	Listed
}

// DeadCall selects dead letters, by consumer, group or sequences, and says what to do.
type DeadCall struct {
	Consumer   string           `json:"consumer,omitempty"`
	Cause      bridge.DeadCause `json:"cause,omitempty"`
	Prediction string           `json:"prediction,omitempty"`
	// Group is the id of a [DeadGroup].
	Group string `json:"group,omitempty"`
	Page
	RedeliveryOptions
}

// Selection returns what the call selects.
func (c *DeadCall) Selection() DeadSelection {
	return DeadSelection{Consumer: c.Consumer, Cause: c.Cause, Prediction: c.Prediction, Group: c.Group, Sequences: c.Seqs, After: c.After, Limit: c.Limit}
}
