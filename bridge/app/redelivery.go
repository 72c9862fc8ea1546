package app

import (
	"context"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
)

// runRedelivery moves events whose next attempt is due, and makes dead letters of events that
// NATS gave up on, where consumers run.
func (a *App) runRedelivery() error {
	if !a.cfg.Has(config.RoleConsumers) {
		return nil
	}
	s, names, bindOnly := a.store, a.cfg.Names(), a.cfg.NATS.Provision != config.ProvisionCreate
	for _, run := range []func(context.Context) error{
		redelivery.NewMover(s.consume, s.again(), redelivery.MoverConfig{Names: names, BindOnly: bindOnly, Logger: a.log}).Run,
		redelivery.NewReaper(s.consume, s.again(), redelivery.MoverConfig{Names: names, BindOnly: bindOnly, Logger: a.log}).Run,
		redelivery.NewWaiter(s.consume, redelivery.WaiterConfig{Names: names, Alarms: s.alarms, Logger: a.log}).Run,
	} {
		a.group.Go(a.provisioner.whenProvisioned(a.ctx, run))
	}
	return nil
}
