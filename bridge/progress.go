package bridge

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/internal/printable"
)

// MaxProgress bounds a message of [Progress], in bytes.
const MaxProgress = 4 << 10

// Progress is a prediction's progress, published on [Names.Progress] and not stored.
type Progress struct {
	// Status is as the provider wrote it.
	Status string `json:"status,omitempty"`
	// Progress is from 0 to 1.
	Progress float64   `json:"progress"`
	At       time.Time `json:"at"`
}

// ParseProgress reads the JSON of a [Progress] and cuts values to their limits. It ignores
// unknown fields.
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

// PredictionUpdate is one update for a follower of a prediction: State or Progress, the
// other is nil.
type PredictionUpdate struct {
	State    *PredictionState
	Progress *Progress
}
