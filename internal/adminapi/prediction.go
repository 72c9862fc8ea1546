package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// PredictionSelection says which predictions of the prediction store are listed.
type PredictionSelection struct {
	// Source is one, or empty for all.
	Source string
	// After leaves out those at or before that place, Before those at or behind that one
	// unless it is zero.
	After, Before uint64
	// Newest has the one that was changed last first, otherwise it comes last.
	Newest bool
}

// Prediction is one of a list.
type Prediction struct {
	// Place is where the prediction store has it; it moves on with each change.
	Place      uint64    `json:"place"`
	Source     string    `json:"source"`
	ID         string    `json:"id"`
	Model      string    `json:"model,omitempty"`
	Status     string    `json:"status"`
	Open       bool      `json:"open"`
	Origin     string    `json:"origin,omitempty"`
	FirstSeen  time.Time `json:"first_seen"`
	ExpectedBy time.Time `json:"expected_by,omitzero"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	Reference  string    `json:"reference,omitempty"`
	Outputs    int       `json:"outputs"`
	Stored     int       `json:"stored"`
	Conflict   bool      `json:"conflict,omitempty"`
	// Lost is why it was given up.
	Lost bridge.DeadCause `json:"lost,omitempty"`
}

// PredictionList is a page of predictions. Last is a place.
type PredictionList struct {
	Predictions []Prediction `json:"predictions"`
	Listed
}

// Rebuilding is the answer to who has the prediction store rebuilt.
type Rebuilding struct {
	Rebuilding bool `json:"rebuilding"`
}
