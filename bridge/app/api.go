package app

import (
	"context"
	"maps"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// What the API offers of dead letters and of events.
type (
	deadLetters struct {
		*redelivery.DeadLetters
		*redelivery.Redeliverer
	}
	events struct {
		*redelivery.Events
		*redelivery.Redeliverer
	}
)

// runAPI serves the API on the admin listener until the process ends.
func (a *App) runAPI() error {
	// Who waits does not hold up the end.
	a.group.Go(func() error { <-a.ctx.Done(); a.waiting.Close(); return nil })
	if a.operators == nil {
		return nil
	}
	a.operators.SetAPI(a.registerAPI)
	a.group.Go(func() error { <-a.ctx.Done(); a.submits.Close(); return nil })
	return nil
}

// registerAPI adds every route of the API.
func (a *App) registerAPI(api *echo.Group) {
	js, names := a.store.consume, a.cfg.Names()
	again := redelivery.NewRedeliverer(js, a.store.publisher, redelivery.Config{
		Names: names,
		Handled: func(ctx context.Context, consumer string, ev *bridge.Event) (bool, error) {
			return consumers.Handled(ctx, js, names, consumer, ev)
		},
		Filter: func(consumer string) (bridge.Filter, bool) {
			c, ok := a.cfg.Consumers[consumer]
			if !ok {
				return bridge.Filter{}, false
			}
			return c.Base().Filter.Filter(), true
		},
	})
	admin.RegisterQuarantine(api, a.keptEntries())
	admin.RegisterConsumers(api, consumerOperator{a.store.durables(), a.store})
	admin.RegisterDeadLetters(api, deadLetters{redelivery.NewDeadLetters(js, names), again})
	admin.RegisterEvents(api, events{redelivery.NewEvents(js, names), again})
	admin.RegisterSubmit(api, a.submits)
	admin.RegisterNames(api, a.names)
	admin.RegisterPredictions(api, a.knownPredictions(), a.waiting, a.announcer())
}

// names are those of consumers and sources that exist.
func (a *App) names(ctx context.Context) (adminapi.Names, error) {
	list, err := a.store.durables().List(ctx)
	if err != nil {
		return adminapi.Names{}, err
	}
	names := adminapi.Names{Consumers: []string{}, Sources: slices.Sorted(maps.Keys(*a.submits.sources.now.Load()))}
	for _, c := range list {
		names.Consumers = append(names.Consumers, c.Name)
	}
	slices.Sort(names.Consumers)
	return names, nil
}
