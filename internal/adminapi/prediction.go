package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// PredictionSelection selects predictions of the prediction store.
type PredictionSelection struct {
	// Source selects all when empty.
	Source string
	// After excludes the predictions up to that place; Before, unless zero, those from that
	// place on.
	After, Before uint64
	// Newest orders a list from the last change to the first, otherwise the other way round.
	Newest bool
}

// Prediction is one of a list.
type Prediction struct {
	// Place is the position in the prediction store; it changes with each update.
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
	// Lost is why the prediction was given up.
	Lost bridge.DeadCause `json:"lost,omitempty"`
}

// PredictionList is a page of predictions. Last is a place.
type PredictionList struct {
	Predictions []Prediction `json:"predictions"`
	Listed
}

// Rebuilding is the answer to a request for a rebuild of the prediction store.
type Rebuilding struct {
	Rebuilding bool `json:"rebuilding"`
}
