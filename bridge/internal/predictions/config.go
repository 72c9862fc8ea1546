package predictions

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/streams"
)

// Config of a [Ledger].
type Config struct {
	Names bridge.Names
	// Sources are the configured senders, by name.
	Sources map[string]SourceConfig
	// Keep is how long finished predictions stay in the ledger.
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

// SourceConfig is what the reconciler knows of one sender.
type SourceConfig struct {
	// Source reads the answers of the provider.
	Source *source.Source
	// Asker asks the provider; nil when it has no API.
	Asker Asker
	// Rate is how often in a second it is asked at most.
	Rate float64
	// PollAfter is for how long a prediction is left to its webhook at least.
	PollAfter time.Duration
	// Query are the parameters that travel with an event of a webhook, and with that of
	// a polled answer too as far as who announced the prediction said them.
	Query []string
}

// Asker asks a provider. A key can come and go while it is used. It is safe for concurrent use.
type Asker interface {
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
	StoreAll(ctx context.Context, stream string, msgs []*nats.Msg) []streams.Outcome
}

// desk is what the reconciler works on while this process leads.
type desk interface {
	// lists are the open predictions by source, of every source that has had any.
	lists() map[string]*worklist
	// upToDate reports whether every event that was stored a moment ago is in the
	// ledger: before that, what seems to be missing may have come.
	upToDate() bool
	// save writes the record of an open prediction over that of the revision, and
	// returns the new one; the item in the list has it too. It is errNotOpen when the
	// prediction has its end by now, errTermOver when another process has written, and
	// another one when the revision is not the last one any more: what is in the list
	// then was written after it.
	save(ctx context.Context, rec openRecord, revision uint64) (uint64, error)
}

var (
	errNotOpen  = errors.New("the prediction is not open any more")
	errTermOver = errors.New("another process leads the ledger")
)
