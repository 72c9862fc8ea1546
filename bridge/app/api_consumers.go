package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/durable"
)

type consumerOperator struct {
	*durables.Durables

	store *store
}

// Add makes a durable like that of a consumer of kind pull.
func (d consumerOperator) Add(ctx context.Context, c adminapi.AddCall) error {
	if c.Name == bridge.PredictionsConsumer {
		return fmt.Errorf("adding consumer %s: %w", c.Name, adminapi.ErrPredictionsConsumer)
	}
	if _, ok := d.store.cfg.Consumers[c.Name]; ok {
		return fmt.Errorf("adding consumer %s: %w", c.Name, adminapi.ErrConfigured)
	}
	start, err := config.ParseStart(cmp.Or(c.Start, "new"))
	if err != nil {
		return err
	}
	added := durable.Definition{
		Name: c.Name, Filter: c.Filter(), Start: durable.StartPoint(start), Lease: time.Duration(c.LeaseSeconds) * time.Second, MaxDeliveries: c.MaxDeliveries, Prefix: d.store.cfg.NATS.Prefix,
	}
	switch err := added.Verify(ctx, d.store.consume); {
	case err == nil || errors.Is(err, durable.ErrDiffers) || errors.Is(err, durable.ErrUnusable):
		return fmt.Errorf("adding consumer %s: %w", c.Name, adminapi.ErrConsumerExists)
	case !errors.Is(err, durable.ErrMissing):
		return fmt.Errorf("adding consumer %s: %w", c.Name, err)
	}
	if _, err := added.Provision(ctx, d.store.consume); err != nil {
		return fmt.Errorf("adding consumer %s: %w", c.Name, err)
	}
	return nil
}

// Seek first records where the durable will stand: the durable may have to be made anew for
// that, and a crash in between must not take it back.
func (d consumerOperator) Seek(ctx context.Context, name string, to adminapi.ConsumerPosition, dryRun bool) (adminapi.ConsumerSeek, error) {
	sought, err := d.Durables.Seek(ctx, name, to, true)
	if err != nil || dryRun {
		return sought, err
	}
	if err := d.store.record.Move(name, sought.To); err != nil {
		return sought, err
	}
	return d.Durables.Seek(ctx, name, adminapi.ConsumerPosition{Sequence: sought.To}, false)
}

// Skips counts the events that wait for a durable and that the filter does not pick.
func (d consumerOperator) Skips(ctx context.Context, name string, filter bridge.Filter) (uint64, error) {
	n, err := durable.Definition{Name: name, Filter: filter, Prefix: d.store.cfg.NATS.Prefix}.Skips(ctx, d.store.consume)
	if errors.Is(err, durable.ErrMissing) {
		err = fmt.Errorf("%w: %w", adminapi.ErrNoConsumer, err)
	}
	return n, err
}

// LeftBehind returns the places with waiting events that no configured consumer gets.
func (d consumerOperator) LeftBehind() []adminapi.LeftBehind { return d.store.leftBehind() }
