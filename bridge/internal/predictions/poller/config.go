// Package poller polls providers for predictions whose webhooks do not come, and gives up
// those that never end. The leader tells which predictions of a source are due, and records
// each poll.
package poller

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// Config of a [Poller].
type Config struct {
	Names bridge.Names
	// Sources are the configured senders, by name.
	Sources map[string]SourceConfig
	// Keep is how long the view keeps finished predictions.
	Keep time.Duration
	// GiveUpAfter is how long an overdue prediction without an end is polled after the
	// provider's first answer; zero is for ever.
	GiveUpAfter time.Duration
	Alarms      bridge.Alarmer
	// Logger may be nil.
	Logger *zap.Logger
}

// SourceConfig configures the polling of one source.
type SourceConfig struct {
	// Source decodes the provider's answers.
	Source *source.Source
	// Provider is nil when the source has no API.
	Provider Provider
	// Rate bounds the polls per second.
	Rate float64
	// PollAfter is how long a prediction is left to its webhook at least.
	PollAfter time.Duration
	// Query names the parameters that travel with an event of a webhook. The event of a
	// polled answer has those that the announcement holds.
	Query []string
}

// Provider is a provider's API. Its key can come and go. It is safe for concurrent use.
type Provider interface {
	// Result returns the prediction as the provider writes it: one JSON object, at most as
	// large as a webhook. It returns within a minute. The error wraps
	// [provider.ErrNoPrediction], [provider.ErrOpen] or a [*provider.TryLaterError]; any other
	// error may be temporary. No error holds the key.
	Result(ctx context.Context, id, model string) ([]byte, error)
	// HasKey reports whether the provider can be polled now.
	HasKey() bool
}

// Store makes events and other messages durable. It is safe for concurrent use.
type Store interface {
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
	Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error)
}

// States reads the states of predictions. It is safe for concurrent use.
type States interface {
	// Prediction returns the state of a prediction. The error wraps [bridge.ErrNotFound]
	// when nothing is known of it.
	Prediction(ctx context.Context, source, id string) (*bridge.PredictionState, error)
}

// Leadership is what a leader knows and writes. It is safe for concurrent use.
type Leadership interface {
	// Due returns the ids of predictions of the source whose due time has come: at most
	// limit of those that are more than claimed, and as many of the others, each in the
	// order of their turns. Those polled least often come first, and of them the oldest, so
	// that old predictions that never end cannot starve younger ones.
	Due(ctx context.Context, source string, now time.Time, limit int) (proved, claimed []string, err error)
	// NextDue returns when the first open prediction of the source is due, also when that
	// time has passed; zero for never.
	NextDue(ctx context.Context, source string) (time.Time, error)
	// PutOff makes the prediction due at another time; polls is how often it was polled.
	PutOff(ctx context.Context, source, id string, due time.Time, polls int) error
	// Changed is told when a prediction of the source may be due sooner than NextDue said.
	Changed(source string) <-chan struct{}
	// Counts returns the number of open and of due predictions of the source, and when the
	// oldest due one was first seen.
	Counts(ctx context.Context, source string, now time.Time) (open, overdue int, oldest time.Time, err error)
	// UpToDate reports whether the view has every event of a moment ago. Otherwise an end
	// that seems to be missing may have come.
	UpToDate() bool
	// Load returns the record of an open prediction and its revision, 0 when nothing was
	// written yet. The error wraps [ErrNotOpen] when the prediction is not open any more.
	Load(ctx context.Context, source, id string) (rec Record, revision uint64, err error)
	// Save writes the record over the revision. The error wraps [ErrNotLeader] when another
	// process leads or has written.
	Save(ctx context.Context, rec Record, revision uint64) error
}

var (
	// ErrNotOpen means that the prediction has ended or was given up.
	ErrNotOpen = errors.New("the prediction is not open any more")
	// ErrNotLeader means that another process leads.
	ErrNotLeader = errors.New("another process leads the predictions")
)
