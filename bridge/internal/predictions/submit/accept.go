package submit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
)

// said is a provider's statement about an accepted prediction, in its answer or in a
// stream. Fields of an unexpected type are zero.
type said struct {
	id, status string
	estimate   float64 // seconds
	progress   *float64
}

func read(object []byte) (s said) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return s
	}
	p := bridge.NewPredictionHead(fields)
	s.id, s.status = p.ID, p.Status
	// Values that are no numbers leave the fields zero.
	_ = json.Unmarshal(fields["estimated_duration"], &s.estimate)
	_ = json.Unmarshal(fields["progress"], &s.progress)
	return s
}

// unnamed is the error about an answer without a prediction id. It quotes the field in the
// id's place, by which somebody may find the prediction.
func unnamed(object []byte) error {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) == nil && len(fields["id"]) > 0 {
		return fmt.Errorf("the provider's answer names the prediction %.*q, which is no text", bridge.MaxPredictionID, fields["id"])
	}
	return errors.New("the provider's answer names no prediction")
}

// accept records a prediction that the provider has accepted. When recording fails it
// returns the prediction with the error.
func (s *Submitter) accept(ctx context.Context, o *order, object []byte) (*bridge.Submitted, error) {
	told := read(object)
	if told.id == "" {
		return nil, s.doubtful(o, http.StatusBadGateway, unnamed(object))
	}
	done := &bridge.Submitted{Source: o.watch.Source, ID: told.id, Model: o.watch.Model, Status: told.status}
	if told.estimate > 0 && told.estimate <= bridge.MaxWatchAhead.Seconds() {
		done.EstimatedDuration = told.estimate
	}
	return done, s.announce(ctx, o, done)
}

// announce publishes the announcement of the prediction. The same announcement again is the
// same event.
func (s *Submitter) announce(ctx context.Context, o *order, done *bridge.Submitted) error {
	w := o.watch
	w.Prediction, w.EstimatedDuration = done.ID, done.EstimatedDuration
	if err := bridge.CheckPredictionID(w.Prediction); err != nil {
		return s.unrecorded(&w, err)
	}
	ev, err := w.Event(time.Now())
	if err != nil {
		return s.unrecorded(&w, err)
	}
	// Recording has its own time, since the submission may have used up all of the
	// request's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.recordFor)
	defer cancel()
	retry := backoff.Backoff{First: 50 * time.Millisecond, Max: time.Second}
	for {
		_, err := s.cfg.Publisher.Publish(ctx, ev)
		if err == nil {
			return nil
		}
		if errors.Is(err, bridge.ErrTooLarge) || !retry.Wait(ctx) {
			return s.unrecorded(&w, err)
		}
	}
}
