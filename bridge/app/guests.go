package app

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/guests"
)

// serveGuests makes durables and calls for programs of other accounts until ctx ends: with
// the embedded NATS, and where consumers run. It begins before the streams are there, so
// that a program which connects early is told to try again.
func (s *store) serveGuests(ctx context.Context, group *errgroup.Group, cfg *config.Config) {
	if s.embedded == nil && !cfg.Has(config.RoleConsumers) {
		return
	}
	guest := guests.Config{Names: cfg.Names(), Alarms: s.alarms, Logger: s.log}
	for _, run := range []func(context.Context) error{guests.NewCreator(s.consume, guest).Run, guests.NewCaller(s.consume, guest).Run} {
		group.Go(func() error { return run(ctx) })
	}
}
