package main

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/admin"
	"github.com/hookspan/hookspan/bridge/fleet"
	"github.com/hookspan/hookspan/bridge/ingress"
	"github.com/hookspan/hookspan/bridge/redelivery"
	"github.com/hookspan/hookspan/consumers"
)

// letters and events are what the API offers of them.
type (
	letters struct {
		*redelivery.Letters
		*redelivery.Redeliverer
	}
	events struct {
		*redelivery.Events
		*redelivery.Redeliverer
	}
)

// registerAPI adds every route of the API.
func (s *store) registerAPI(api *echo.Group, cfg *config, in *ingress.Server) {
	again := redelivery.NewRedeliverer(s.consume, s.publisher, redelivery.Config{
		Names: s.cfg.Names,
		Handled: func(ctx context.Context, consumer string, ev *bridge.Event) (bool, error) {
			return consumers.Handled(ctx, s.consume, s.cfg.Names, consumer, ev)
		},
		Filter: func(consumer string) (bridge.Filter, bool) {
			c, ok := cfg.Consumers[consumer]
			return c.Filter.filter(), ok
		},
	})
	admin.RegisterQuarantine(api, s.entries(in))
	admin.RegisterConsumers(api, s.fleet(cfg))
	admin.RegisterDeadLetters(api, letters{redelivery.NewLetters(s.consume, s.cfg.Names), again})
	admin.RegisterEvents(api, events{redelivery.NewEvents(s.consume, s.cfg.Names), again})
}

func (s *store) fleet(cfg *config) *fleet.Fleet {
	kinds := map[string]string{}
	for name, c := range cfg.Consumers {
		kinds[name] = c.Kind
	}
	return fleet.New(s.consume, s.cfg.Names, kinds)
}
