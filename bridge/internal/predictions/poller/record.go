package poller

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Record is what the prediction store keeps of an open prediction beside its state, under
// [bridge.KeyOpen]: that it is open, and how often the provider was asked for it. It is
// all that a new leader reads.
type Record struct {
	Source    string    `json:"source"`
	ID        string    `json:"id"`
	Model     string    `json:"model,omitempty"`
	FirstSeen time.Time `json:"first_seen"`
	// ExpectedBy and Estimate (in seconds) are those of the state.
	ExpectedBy time.Time `json:"expected_by,omitzero"`
	Estimate   float64   `json:"estimate,omitempty"`
	// Claimed: nobody but programs of other teams has told of it, over NATS.
	Claimed bool `json:"claimed,omitempty"`
	// Sequence is that of the event that a dead letter is made of: the last that
	// announced it, else the first one.
	Sequence uint64 `json:"seq"`
	// Polls is how often the provider was asked, NotFound how often in a row it did not
	// know it. NotBefore is when it may be asked again.
	Polls     int       `json:"polls,omitempty"`
	NotFound  int       `json:"not_found,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	// Said is what the last answer was: a status, or, with Failed set, an error.
	Said   string `json:"said,omitempty"`
	Failed bool   `json:"failed,omitempty"`
	// Answered is when the provider said first that it has no end.
	Answered time.Time `json:"answered,omitzero"`
	// GivenUp is when it was given up, for the Cause. From then on the provider is not
	// asked any more: what is left is to tell it.
	GivenUp time.Time        `json:"given_up,omitzero"`
	Cause   bridge.DeadCause `json:"cause,omitempty"`
}
