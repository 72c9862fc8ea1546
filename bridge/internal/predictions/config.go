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
	// GiveUpAfter is for how long a prediction that is overdue and has no end is asked
	// for, from the provider's first answer on; zero for ever.
	GiveUpAfter time.Duration
	// Process names this process for operators.
	Process string
	// BindOnly: somebody else makes the durable, see [Provision].
	BindOnly bool
	// Alarms is told what a person should know of.
	Alarms bridge.Alarmer
	// Logger nil logs nothing.
	Logger *zap.Logger
}

// Store makes what the leader writes durable. It is safe for concurrent use.
type Store interface {
	poller.Store
	StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome
}
