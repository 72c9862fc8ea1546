// Package poller asks providers for predictions whose webhooks do not come, and gives up
// those that never end. It holds a queue of the open predictions of each source; who
// leads fills the queues and writes what is to be remembered of each poll.
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
	// GiveUpAfter is for how long a prediction that is overdue and has no end is polled,
	// from the provider's first answer on; zero for ever.
	GiveUpAfter time.Duration
	// Alarms is told what a person should know of.
	Alarms bridge.Alarmer
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// SourceConfig is what the poller knows of one sender.
type SourceConfig struct {
	// Source reads the answers of the provider.
	Source *source.Source
	// Provider is asked; nil when it has no API.
	Provider Provider
	// Rate is how often in a second it is polled at most.
	Rate float64
	// PollAfter is for how long a prediction is left to its webhook at least.
	PollAfter time.Duration
	// Query are the parameters that travel with an event of a webhook, and with that of
	// a polled answer too as far as who announced the prediction said them.
	Query []string
}

// Provider is the API of a provider. A key can come and go while it is used. It is safe for concurrent use.
type Provider interface {
	// Result returns the prediction as the provider writes it, one JSON object, at most
	// as large as a webhook can be. It returns by itself within a minute. The error
	// wraps [provider.ErrNoPrediction], or a [*provider.TryLaterError]; any other is a fault
	// that may pass. No error holds the key.
	Result(ctx context.Context, id string) ([]byte, error)
	// HasKey reports whether the provider can be asked by now.
	HasKey() bool
}

// Store makes events and other messages durable. It is safe for concurrent use.
type Store interface {
	Publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error)
	Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error)
}

// States knows predictions. It is safe for concurrent use.
type States interface {
	// Get returns what is known of a prediction. The error wraps [bridge.ErrNotFound] when
	// nothing is.
	Get(ctx context.Context, source, id string) (*bridge.PredictionState, error)
}

// Leadership is what the poller works on while this process leads.
type Leadership interface {
	// Queues are the open predictions by source, of every source that has had any.
	Queues() map[string]*Queue
	// UpToDate reports whether every event that was stored a moment ago is in the
	// prediction store: before that, an end that seems to be missing may have come.
	UpToDate() bool
	// Save writes the record of an open prediction over that of the revision, and
	// returns the new revision, which the item in the queue has too. The error is
	// [ErrNotOpen] when the prediction has its end by now, [ErrNotLeader] when another
	// process has written, and another one when a newer revision was written: the queue
	// has that one then.
	Save(ctx context.Context, rec Record, revision uint64) (uint64, error)
}

var (
	// ErrNotOpen means that the prediction has its end, or was given up.
	ErrNotOpen = errors.New("the prediction is not open any more")
	// ErrNotLeader means that another process has taken the lead.
	ErrNotLeader = errors.New("another process leads the predictions")
)
