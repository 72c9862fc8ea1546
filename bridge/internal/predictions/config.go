package predictions

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/internal/streams"
)

// Config of a [Leader].
type Config struct {
	Names bridge.Names
	// Sources are the configured senders, by name.
	Sources map[string]poller.SourceConfig
	// Keep is how long finished predictions stay in the prediction store.
	Keep time.Duration
	// GiveUpAfter is how long an overdue prediction without an end is polled after the
	// provider's first answer; zero is for ever.
	GiveUpAfter time.Duration
	// Process names this process for operators.
	Process string
	// BindOnly: another process creates the durable, see [Provision].
	BindOnly bool
	Alarms   bridge.Alarmer
	// Logger may be nil.
	Logger *zap.Logger
}

// Store makes what the leader writes durable. It is safe for concurrent use.
type Store interface {
	poller.Store
	StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome
}
