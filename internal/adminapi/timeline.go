package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// Timeline is what happened to a prediction, and where each of its events stands with each
// consumer.
type Timeline struct {
	Prediction bridge.PredictionState `json:"prediction"`
	// OutputsExpireAt is when the provider deletes outputs that no archive has; absent when
	// there are none, or when it keeps them.
	OutputsExpireAt time.Time `json:"outputs_expire_at,omitzero"`
	// Behind: the view may lack what happened in the last minutes.
	Behind bool `json:"behind,omitempty"`
	// Events are a page of the events, the newest first.
	Events []TimelineEvent `json:"events"`
	// DeadLetters are those of the prediction, the newest first, at most 1,000; only on the
	// first page.
	DeadLetters []DeadLetter `json:"dead_letters,omitempty"`
	// Next is the cursor of older events, empty at the end.
	Next string `json:"next,omitempty"`
}

// TimelineEvent is an event of a prediction.
type TimelineEvent struct {
	bridge.EventRef

	// ReceivedAt is when the first delivery arrived; absent for an event of the bridge itself.
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Subject    string    `json:"subject"`
	// Lanes are by consumer.
	Lanes []Lane `json:"lanes"`
}

// Lane is what became of an event with one consumer.
type Lane struct {
	Consumer string `json:"consumer"`
	// State is one token, Words the same for people. Reason says why; it may hold foreign text.
	// Remedy is what to do next, in one sentence. Both are empty for a handled event.
	State  string `json:"state"`
	Words  string `json:"words"`
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Last is the last attempt that was told of, nil for none; Failed are the last failed
	// ones, the oldest first.
	Last   *LaneAttempt  `json:"last,omitempty"`
	Failed []LaneAttempt `json:"failed,omitempty"`
	// Next is when the event comes again, Until the end of a pause.
	Next  time.Time `json:"next,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// DeadSeq is the sequence of the dead letter, Cause why there is one.
	DeadSeq uint64           `json:"dead_seq,omitempty"`
	Cause   bridge.DeadCause `json:"cause,omitempty"`
}

// LaneAttempt is one attempt.
type LaneAttempt struct {
	At   time.Time `json:"at"`
	Took float64   `json:"took"` // seconds
	// Number counts from 1; 0 is unknown.
	Number int `json:"number,omitempty"`
	// Verdict is as in [bridge.Attempt].
	Verdict string `json:"verdict"`
	Error   string `json:"error,omitempty"`
}
