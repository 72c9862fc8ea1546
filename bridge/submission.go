package bridge

import (
	"encoding/json"
)

// Submitted is a prediction that the provider has accepted and the bridge has recorded.
type Submitted struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Model  string `json:"model"`
	// Status is as the provider wrote it.
	Status string `json:"status"`
	// EstimatedDuration is the provider's estimate in seconds.
	EstimatedDuration float64 `json:"estimated_duration,omitempty"`
	// Replayed: the same idempotency key was submitted before, and nothing was sent now.
	Replayed bool `json:"replayed"`
	// Answer is the provider's answer as it came. A streamed answer is left out, and so is
	// a large one of a replayed submission.
	Answer json.RawMessage `json:"answer,omitempty"`
}
