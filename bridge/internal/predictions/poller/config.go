// Package poller polls providers for predictions whose webhooks do not come, and gives up
// those that never end. Each source has a queue of open predictions. The leader fills the
// queues and records each poll.
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
	// Keep is how long the prediction store keeps finished predictions.
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
	// [provider.ErrNoPrediction] or a [*provider.TryLaterError]; any other error may be
	// temporary. No error holds the key.
	Result(ctx context.Context, id string) ([]byte, error)
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
	// Get returns the state of a prediction. The error wraps [bridge.ErrNotFound] when
	// nothing is known of it.
	Get(ctx context.Context, source, id string) (*bridge.PredictionState, error)
}

// Leadership is the leader's side of the prediction store.
type Leadership interface {
	// Queues are the open predictions by source, for every source that has had any.
	Queues() map[string]*Queue
	// UpToDate reports whether every event of a moment ago is in the prediction store.
	// Otherwise an end that seems to be missing may have come.
	UpToDate() bool
	// Save writes the record of an open prediction over the revision, and returns the new
	// revision, which the queue's item then has too. The error is [ErrNotOpen] when the
	// prediction is not open any more, [ErrNotLeader] when another process has written, and
	// any other when a newer revision was written; the queue has that one then.
	Save(ctx context.Context, rec Record, revision uint64) (uint64, error)
}

var (
	// ErrNotOpen means that the prediction has ended or was given up.
	ErrNotOpen = errors.New("the prediction is not open any more")
	// ErrNotLeader means that another process leads.
	ErrNotLeader = errors.New("another process leads the predictions")
)
