package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// WatchRequest is how somebody asks to have a prediction watched: as the body of an
// HTTP request, which names the prediction in its path, or of a NATS request to
// [Names.WatchRequests]. The fields are those of [Watch].
type WatchRequest struct {
	// Prediction is the id; a NATS request must say it.
	Prediction        string            `json:"prediction,omitempty"`
	Model             string            `json:"model,omitempty"`
	Deadline          time.Time         `json:"deadline,omitzero"`
	EstimatedDuration float64           `json:"estimated_duration,omitempty"` // seconds
	Reference         string            `json:"reference,omitempty"`
	Tenant            string            `json:"tenant,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`
}

// ParseWatchRequest reads one JSON object. Fields that are not known, and whatever
// follows it, are an error.
func ParseWatchRequest(body []byte) (*WatchRequest, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var r *WatchRequest
	err := dec.Decode(&r)
	if err == nil && r == nil {
		err = errors.New("it is null")
	}
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the body is not the JSON object that this takes: %w", err)
	}
	return r, nil
}

// Watch is what is asked for, of a prediction of source.
func (r *WatchRequest) Watch(source string) Watch {
	return Watch{
		Source: source, Prediction: r.Prediction, Model: r.Model, Deadline: r.Deadline, EstimatedDuration: r.EstimatedDuration,
		Reference: r.Reference, Tenant: r.Tenant, Metadata: r.Metadata,
	}
}

// Watched says what became of a [WatchRequest].
type Watched struct {
	// Result is [Stored], [Duplicate] or [Spooled].
	Result Result `json:"result"`
	// ID is that of the event.
	ID string `json:"id"`
}
