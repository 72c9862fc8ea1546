package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// letters and events are what the API offers of them.
type (
	letters struct {
		*redelivery.DeadLetters
		*redelivery.Redeliverer
	}
	events struct {
		*redelivery.Events
		*redelivery.Redeliverer
	}
)

// registerAPI adds every route of the API.
func (s *store) registerAPI(api *echo.Group, cfg *config.Config, in *ingress.Server, submits *submits) {
	again := redelivery.NewRedeliverer(s.consume, s.publisher, redelivery.Config{
		Names: s.cfg.Names,
		Handled: func(ctx context.Context, consumer string, ev *bridge.Event) (bool, error) {
			return consumers.Handled(ctx, s.consume, s.cfg.Names, consumer, ev)
		},
		Filter: func(consumer string) (bridge.Filter, bool) {
			c, ok := cfg.Consumers[consumer]
			return c.Filter.Filter(), ok
		},
	})
	admin.RegisterQuarantine(api, s.entries(in))
	admin.RegisterConsumers(api, consumerOperator{s.fleet(cfg), s, cfg})
	admin.RegisterDeadLetters(api, letters{redelivery.NewDeadLetters(s.consume, s.cfg.Names), again})
	admin.RegisterEvents(api, events{redelivery.NewEvents(s.consume, s.cfg.Names), again})
	admin.RegisterSubmit(api, submits)
	admin.RegisterNames(api, s.names(cfg, submits))
}

// consumerOperator has the durables, to which operators can add.
type consumerOperator struct {
	*durables.Durables

	store *store
	cfg   *config.Config
}

// Add makes a durable like that of a consumer of kind pull.
func (d consumerOperator) Add(ctx context.Context, c adminapi.NewConsumer) error {
	if c.Name == bridge.PredictionsConsumer {
		return fmt.Errorf("adding consumer %s: %w", c.Name, adminapi.ErrPredictionsConsumer)
	}
	if _, ok := d.cfg.Consumers[c.Name]; ok {
		return fmt.Errorf("adding consumer %s: %w", c.Name, adminapi.ErrConfigured)
	}
	start, err := consumers.ParseStart(cmp.Or(c.Start, "new"))
	if err != nil {
		return err
	}
	durable := consumers.Durable{
		Name: c.Name, Filter: c.Filter, Start: start, Lease: c.Lease, MaxDeliveries: c.MaxDeliveries, Prefix: d.cfg.NATS.Prefix,
	}
	switch err := durable.Verify(ctx, d.store.consume); {
	case err == nil || errors.Is(err, consumers.ErrDiffers) || errors.Is(err, consumers.ErrUnusable):
		return fmt.Errorf("adding consumer %s: %w", c.Name, adminapi.ErrConsumerExists)
	case !errors.Is(err, consumers.ErrMissing):
		return fmt.Errorf("adding consumer %s: %w", c.Name, err)
	}
	if _, err := durable.Provision(ctx, d.store.consume); err != nil {
		return fmt.Errorf("adding consumer %s: %w", c.Name, err)
	}
	return nil
}

// Seek notes first where the durable will stand: it may have to be made anew for that, and
// a crash in between must not take it back.
func (d consumerOperator) Seek(ctx context.Context, name string, to adminapi.ConsumerPosition, dryRun bool) (adminapi.ConsumerSeek, error) {
	sought, err := d.Durables.Seek(ctx, name, to, true)
	if err != nil || dryRun {
		return sought, err
	}
	if err := d.store.durables.record.Move(name, sought.To); err != nil {
		return sought, err
	}
	return d.Durables.Seek(ctx, name, adminapi.ConsumerPosition{Sequence: sought.To}, false)
}

// Skips is how many events wait for a durable that the filter does not pick.
func (d consumerOperator) Skips(ctx context.Context, name string, filter bridge.Filter) (uint64, error) {
	n, err := consumers.Durable{Name: name, Filter: filter, Prefix: d.cfg.NATS.Prefix}.Skips(ctx, d.store.consume)
	if errors.Is(err, consumers.ErrMissing) {
		err = fmt.Errorf("%w: %w", adminapi.ErrNoConsumer, err)
	}
	return n, err
}

// LeftBehind is where events wait that no consumer of the configuration is given.
func (d consumerOperator) LeftBehind() []adminapi.LeftBehind { return d.store.leftBehind() }

func (s *store) fleet(cfg *config.Config) *durables.Durables {
	// Another process may have the role.
	kinds := map[string]string{bridge.PredictionsConsumer: "predictions"}
	for name, c := range cfg.Consumers {
		kinds[name] = c.Kind
	}
	return durables.New(s.consume, s.cfg.Names, kinds)
}
