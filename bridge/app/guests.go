package app

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream/gateway"
)

// serveGuests makes durables and calls for programs of other accounts until ctx ends: with
// the embedded NATS, and where consumers run. It begins before the streams are there, so
// that a program which connects early is told to try again.
func (s *store) serveGuests(ctx context.Context, group *errgroup.Group, cfg *config.Config) {
	if s.embedded == nil && !cfg.Has(config.RoleConsumers) {
		return
	}
	guest := gateway.Config{Names: cfg.Names(), Alarms: s.alarms, Logger: s.log}
	for _, run := range []func(context.Context) error{gateway.NewCreator(s.consume, guest).Run, gateway.NewCaller(s.consume, guest).Run} {
		group.Go(func() error { return run(ctx) })
	}
}
