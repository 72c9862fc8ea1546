package adminapi

import (
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// PredictionSelection selects a page of predictions. Empty fields select all.
type PredictionSelection struct {
	Source, Status, Reference, Tenant string
	// Model is a glob as in [bridge.Filter].
	Model string
	// IDPrefix begins the ids.
	IDPrefix string
	// Consumers say how consumers did.
	Consumers []ConsumerStanding
	// Missing selects those whose end was expected and that no webhook told of.
	Missing bool
	// ExpiresBefore selects those with outputs that no archive has and that the provider
	// deletes from now on until then.
	ExpiresBefore time.Time
	// Open selects those whose end is waited for.
	Open bool
	// Since and Until bound when predictions became known: from Since on, before Until.
	Since, Until time.Time
	// Cursor is the Next of the page before; empty begins with the newest.
	Cursor string
	// Limit is the size of the page.
	Limit int
}

// Standing is what became of a prediction with a consumer, as far as consumers told.
type Standing string

// Standings that can be searched.
const (
	StandingHandled Standing = "handled"
	StandingFailing Standing = "failing"     // an attempt failed, and the event comes again
	StandingDead    Standing = "dead_letter" // a dead letter is there
)

// ConsumerStanding says that an event of a prediction stands so with the consumer.
type ConsumerStanding struct {
	Consumer string   `json:"consumer"`
	State    Standing `json:"state"`
}

// ErrCursor means that a cursor is none that a list returned.
var ErrCursor = errors.New("not a cursor of this list")

// ErrUnavailable means that the view cannot be read at the moment.
var ErrUnavailable = errors.New("the view cannot be read now")

// Prediction is one of a list.
type Prediction struct {
	Source     string    `json:"source"`
	ID         string    `json:"id"`
	Model      string    `json:"model,omitempty"`
	Status     string    `json:"status"`
	Open       bool      `json:"open"`
	Origin     string    `json:"origin,omitempty"`
	FirstSeen  time.Time `json:"first_seen"`
	ExpectedBy time.Time `json:"expected_by,omitzero"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	// CreatedAt and CompletedAt are the provider's times. Inference is how long the model ran,
	// in seconds; 0 is unknown.
	CreatedAt   time.Time `json:"created_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	Inference   float64   `json:"inference,omitempty"`
	Reference   string    `json:"reference,omitempty"`
	Tenant      string    `json:"tenant,omitempty"`
	Outputs     int       `json:"outputs"`
	Stored      int       `json:"stored"`
	// OutputsExpireAt is when the provider deletes outputs that no archive has; absent when
	// there are none, or when it keeps them.
	OutputsExpireAt time.Time `json:"outputs_expire_at,omitzero"`
	// Preview is the first output that an archive has, nil for none.
	Preview *Preview `json:"preview,omitempty"`
	// Consumers are those that told of an event of the prediction, by name: with each the worst
	// of its last events.
	Consumers []ConsumerStanding `json:"consumers,omitempty"`
	Conflict  bool               `json:"conflict,omitempty"`
	// Lost is why the prediction was given up.
	Lost bridge.DeadCause `json:"lost,omitempty"`
}

// Preview is an output that an archive has. Output counts from 0.
type Preview struct {
	Output      int    `json:"output"`
	ContentType string `json:"content_type,omitempty"`
}

// PredictionList is a page of predictions, the one that became known last first.
type PredictionList struct {
	Predictions []Prediction `json:"predictions"`
	// Next is the cursor of the next page, empty at the end. A page can be short, or empty,
	// and be followed by others.
	Next string `json:"next,omitempty"`
}

// NewPrediction returns the prediction as lists show it.
func NewPrediction(s *bridge.PredictionState) Prediction {
	out := Prediction{
		Source: s.Source, ID: s.ID, Model: s.Model, Status: s.Status, Open: s.Open(), Origin: s.Origin,
		FirstSeen: s.FirstSeen, ExpectedBy: s.ExpectedBy, ReceivedAt: s.ReceivedAt, CreatedAt: s.CreatedAt, CompletedAt: s.CompletedAt, Inference: s.Inference,
		Outputs: s.OutputCount, Stored: s.Stored, Conflict: s.Conflict,
	}
	if s.Announced != nil {
		out.Reference, out.Tenant = s.Announced.Reference, s.Announced.Tenant
	}
	for i, o := range s.Outputs {
		if o.Custody == bridge.CustodyStored {
			out.Preview = &Preview{Output: i, ContentType: o.ContentType}
			break
		}
	}
	if s.Lost != nil {
		out.Lost = s.Lost.Cause
	}
	return out
}
