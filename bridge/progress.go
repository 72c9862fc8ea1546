package bridge

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/internal/printable"
)

// MaxProgress is how large a message of [Progress] is at most, in bytes.
const MaxProgress = 4 << 10

// Progress is how far a prediction is, as told on [Names.Progress]. Nothing keeps it.
type Progress struct {
	// Status is as the provider wrote it.
	Status string `json:"status,omitempty"`
	// Progress is 0 to 1.
	Progress float64   `json:"progress"`
	At       time.Time `json:"at"`
}

// ParseProgress reads the JSON of a [Progress] and brings it into its limits. Fields
// that are not known are left out.
func ParseProgress(body []byte) (*Progress, error) {
	if len(body) > MaxProgress {
		return nil, fmt.Errorf("reading progress: it has %d bytes, at most %d are possible", len(body), MaxProgress)
	}
	var p Progress
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("reading progress: %w", err)
	}
	p.Progress = min(max(p.Progress, 0), 1)
	p.Status = printable.Truncate(p.Status, MaxStatus)
	return &p, nil
}

// PredictionUpdate is one thing that whoever follows a prediction is told.
type PredictionUpdate struct {
	// State is what is known of it now, nil when only Progress is told.
	State *PredictionState
	// Progress is nil when State is told.
	Progress *Progress
}
