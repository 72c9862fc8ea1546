package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// WatchRequest asks the bridge to watch a prediction: as the body of an HTTP request, whose
// path names the prediction, or of a NATS request to [Names.WatchRequests]. The fields are
// those of [Watch].
type WatchRequest struct {
	// Prediction is the id, required in a NATS request.
	Prediction        string            `json:"prediction,omitempty"`
	Model             string            `json:"model,omitempty"`
	Deadline          time.Time         `json:"deadline,omitzero"`
	EstimatedDuration float64           `json:"estimated_duration,omitempty"` // seconds
	Reference         string            `json:"reference,omitempty"`
	Tenant            string            `json:"tenant,omitempty"`
	Metadata          map[string]string `json:"metadata,omitempty"`
}

// ParseWatchRequest reads one JSON object. Unknown fields and trailing data are errors.
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

// Watch returns the watch of a prediction of source.
func (r *WatchRequest) Watch(source string) Watch {
	return Watch{
		Source: source, Prediction: r.Prediction, Model: r.Model, Deadline: r.Deadline, EstimatedDuration: r.EstimatedDuration,
		Reference: r.Reference, Tenant: r.Tenant, Metadata: r.Metadata,
	}
}

// Watched is the answer to a [WatchRequest].
type Watched struct {
	// Result is [Stored], [Duplicate] or [Spooled].
	Result Result `json:"result"`
	// ID is the id of the event.
	ID string `json:"id"`
}
