package poller

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Record is what a poll needs of an open prediction: the part of its state that counts, and
// its polls. Only its JSON is stored, under [bridge.KeyPoll], and only once it is polled.
type Record struct {
	Source    string    `json:"-"`
	ID        string    `json:"-"`
	Model     string    `json:"-"`
	FirstSeen time.Time `json:"first_seen"`
	// Again is the sequence of the last copy that brought the prediction back, 0 for none.
	// Polls from before FirstSeen or Again do not count.
	Again uint64 `json:"again,omitempty"`
	// ExpectedBy and Estimate (in seconds) are those of the state.
	ExpectedBy time.Time `json:"-"`
	Estimate   float64   `json:"-"`
	// Claimed: only programs of other teams have told of it, over NATS.
	Claimed bool `json:"-"`
	// Sequence is the stream sequence of the event for a dead letter: the last
	// announcement, else the first event.
	Sequence uint64 `json:"-"`

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
