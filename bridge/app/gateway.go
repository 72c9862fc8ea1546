package app

import (
	"context"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream/gateway"
)

// runGateway serves programs of other accounts, which ask for durables and calls: with the
// embedded NATS, and where consumers run. It begins before the streams exist, so that a program
// which connects early is told to try again.
func (a *App) runGateway() error {
	if a.store.embedded == nil && !a.cfg.Has(config.RoleConsumers) {
		return nil
	}
	cfg := gateway.Config{Names: a.cfg.Names(), Alarms: a.store.alarms, Logger: a.log}
	for _, run := range []func(context.Context) error{gateway.NewCreator(a.store.consume, cfg).Run, gateway.NewCaller(a.store.consume, cfg).Run} {
		a.group.Go(func() error { return run(a.ctx) })
	}
	return nil
}
