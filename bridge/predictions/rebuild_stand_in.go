package predictions

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/bridge"
)

// Status returns how the ledger stands. The error wraps [bridge.ErrNoEntry]: nobody
// leads it.
func (r *Reader) Status(context.Context) (*bridge.LedgerStatus, error) {
	return nil, fmt.Errorf("reading the status of the ledger: %w", bridge.ErrNoEntry)
}

// Rebuild removes the ledger, so that whoever leads it folds it anew.
func Rebuild(ctx context.Context, js jetstream.JetStream, names bridge.Names) error {
	stream, err := js.Stream(ctx, names.PredictionsStream())
	if err != nil {
		return fmt.Errorf("rebuilding the ledger of predictions: %w", err)
	}
	return stream.Purge(ctx)
}
