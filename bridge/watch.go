package bridge

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Limits of a [Watch].
const (
	MaxReference = 256 // bytes of Reference and Tenant each
	// MaxWatchAhead is how far from now a deadline can be.
	MaxWatchAhead = 30 * 24 * time.Hour
)

// Watch is the body of an event of [KindWatch]: somebody waits for the end of a prediction,
// also when its webhook does not come. Reference, Tenant and Metadata are the user's own
// and become part of the [PredictionState].
type Watch struct {
	Source     string `json:"source"`
	Prediction string `json:"prediction"`
	Model      string `json:"model,omitempty"`
	// Deadline is when the prediction should have ended. From then on the provider is
	// polled, but never before its webhook can have come. Zero leaves the time to the
	// bridge.
	Deadline time.Time `json:"deadline,omitzero"`
	// EstimatedDuration is the provider's estimate in seconds.
	EstimatedDuration float64 `json:"estimated_duration,omitempty"`
	Reference         string  `json:"reference,omitempty"`
	Tenant            string  `json:"tenant,omitempty"`
	// Metadata has at most [MaxQueryKeys] names that satisfy [CheckName]; a percent-encoded
	// value has at most [MaxQueryValue] bytes.
	Metadata map[string]string `json:"metadata,omitempty"`
	// Submitted: the bridge itself submitted the prediction.
	Submitted bool `json:"submitted,omitempty"`
}

// Check returns an error that names the first invalid field.
func (w *Watch) Check(now time.Time) error {
	if err := CheckName("source", w.Source); err != nil {
		return err
	}
	if err := CheckPredictionID(w.Prediction); err != nil {
		return err
	}
	switch {
	case EncodedLen(w.Model) > MaxModel:
		return fmt.Errorf("model has %d bytes when encoded, at most %d are possible", EncodedLen(w.Model), MaxModel)
	case len(w.Reference) > MaxReference || len(w.Tenant) > MaxReference:
		return fmt.Errorf("reference and tenant have at most %d bytes", MaxReference)
	case !w.Deadline.IsZero() && w.Deadline.Sub(now) > MaxWatchAhead:
		return fmt.Errorf("deadline is %s, at most %v from now are possible", w.Deadline.UTC().Format(time.RFC3339), MaxWatchAhead)
	case !w.Deadline.IsZero() && now.Sub(w.Deadline) > MaxWatchAhead:
		return fmt.Errorf("deadline is %s, which is too long ago", w.Deadline.UTC().Format(time.RFC3339))
	case !(w.EstimatedDuration >= 0 && w.EstimatedDuration <= MaxWatchAhead.Seconds()):
		return fmt.Errorf("estimated_duration is %v seconds, 0 to %.0f are possible", w.EstimatedDuration, MaxWatchAhead.Seconds())
	case len(w.Metadata) > MaxQueryKeys:
		return fmt.Errorf("metadata has %d names, at most %d are possible", len(w.Metadata), MaxQueryKeys)
	}
	for _, name := range slices.Sorted(maps.Keys(w.Metadata)) {
		if err := CheckName("metadata", name); err != nil {
			return err
		}
		if n := EncodedLen(w.Metadata[name]); n > MaxQueryValue {
			return fmt.Errorf("metadata %s has %d bytes when encoded, at most %d are possible", name, n, MaxQueryValue)
		}
	}
	return nil
}

// CheckPredictionID returns an error unless the provider can be polled for the id. A URL
// takes "." and ".." for folders.
func CheckPredictionID(id string) error {
	switch {
	case id == "":
		return errors.New("the prediction id is empty")
	case len(id) > MaxPredictionID:
		return fmt.Errorf("the prediction id has %d bytes, at most %d are possible", len(id), MaxPredictionID)
	case id == "." || id == "..":
		return fmt.Errorf("%q is no prediction id", id)
	}
	return nil
}

// Event returns the announcement made at now. The same watch always gives the same event
// id.
func (w *Watch) Event(now time.Time) (*Event, error) {
	body, err := json.Marshal(w)
	if err != nil {
		return nil, fmt.Errorf("writing a watch: %w", err)
	}
	return ownEvent(TypeWatch, OriginWatch, "watch", w.Source, w.Prediction, w.Model, StatusCreated, body, now), nil
}

// Lost is the body of an event of [KindLost]: polling found no end of the prediction. The
// prediction is followed again if it ends after all.
type Lost struct {
	Source     string `json:"source"`
	Prediction string `json:"prediction"`
	Model      string `json:"model,omitempty"`
	// Cause is [DeadNotFound] or [DeadUnfinished].
	Cause DeadCause `json:"cause"`
	// Status is the last one that the provider told, as it wrote it.
	Status string    `json:"status,omitempty"`
	Error  string    `json:"error"`
	Polls  int       `json:"polls"`
	Since  time.Time `json:"since"`
	LostAt time.Time `json:"lost_at"`
}

// Event returns the event of [KindLost].
func (l *Lost) Event() (*Event, error) {
	body, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("writing why a prediction was given up: %w", err)
	}
	return ownEvent(TypeLost, OriginReconciler, "lost", l.Source, l.Prediction, l.Model, StatusCreated, body, l.LostAt), nil
}

// ownEvent returns an event that the bridge itself tells. Status is the prediction's; word
// replaces it in the id.
func ownEvent(kind, origin, word, source, prediction, model, status string, body []byte, now time.Time) *Event {
	return &Event{
		ID: NewEventID(prediction, word, body), Source: source, Type: kind,
		PredictionID: prediction, Model: model, Status: status, RawStatus: status,
		Origin: origin, Time: now, ReceivedAt: now, ContentType: "application/json", Body: body,
	}
}
