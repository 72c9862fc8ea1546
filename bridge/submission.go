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
	// EstimatedDuration is what the provider said that it will take, in seconds.
	EstimatedDuration float64 `json:"estimated_duration,omitempty"`
	// Replayed: it was submitted before with the same idempotency key, and nothing was
	// sent now.
	Replayed bool `json:"replayed"`
	// Answer is the provider's, as it came. It is left out when it was streamed, and of
	// what is replayed when it was large.
	Answer json.RawMessage `json:"answer,omitempty"`
}
