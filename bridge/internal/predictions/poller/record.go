package poller

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Record is what the prediction store keeps, under [bridge.KeyOpen], of an open prediction
// beside its state: that it is open, and its polls. A new leader reads nothing else.
type Record struct {
	Source    string    `json:"source"`
	ID        string    `json:"id"`
	Model     string    `json:"model,omitempty"`
	FirstSeen time.Time `json:"first_seen"`
	// ExpectedBy and Estimate (in seconds) are those of the state.
	ExpectedBy time.Time `json:"expected_by,omitzero"`
	Estimate   float64   `json:"estimate,omitempty"`
	// Claimed: only programs of other teams have told of it, over NATS.
	Claimed bool `json:"claimed,omitempty"`
	// Sequence is the stream sequence of the event for a dead letter: the last
	// announcement, else the first event.
	Sequence uint64 `json:"seq"`
	// Polls counts the polls, NotFound the last ones in a row that the provider answered
	// with not found. NotBefore is the earliest next poll.
	Polls     int       `json:"polls,omitempty"`
	NotFound  int       `json:"not_found,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	// Said is the last answer: a status or, with Failed set, an error.
	Said   string `json:"said,omitempty"`
	Failed bool   `json:"failed,omitempty"`
	// Answered is when the provider first said that the prediction has not ended.
	Answered time.Time `json:"answered,omitzero"`
	// GivenUp is when the prediction was given up, for the Cause. It is not polled any
	// more; only the telling is left.
	GivenUp time.Time        `json:"given_up,omitzero"`
	Cause   bridge.DeadCause `json:"cause,omitempty"`
}
