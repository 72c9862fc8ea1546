package app

import (
	"context"
	"maps"
	"slices"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
)

// openStore starts or reaches NATS, once the secrets of the sources are known.
func (a *App) openStore() (err error) {
	if a.sources, err = resolveSources(a.cfg, a.opts.Getenv); err != nil {
		return err
	}
	a.sources.warn(a.log, slices.Sorted(maps.Keys(a.sources)))
	if a.store, err = openStore(a.cfg, a.folder, a.opts.Getenv, a.log, &a.onStop); err != nil {
		return err
	}
	a.kept = newKeptDeliveries(a.store)
	return register(a.metrics, append(a.store.collectors(), a.kept.collectors()...)...)
}

// build makes everything that works on the store; the ingress listens from here on.
func (a *App) build() (err error) {
	cfg, getenv, metrics, log := a.cfg, a.opts.Getenv, a.metrics, a.log
	if a.hub, err = newHub(a.store, metrics, log); err != nil {
		return err
	}
	a.onStop.add("waiting", func() error { a.hub.Close(); return nil })
	if a.ingress, err = newIngress(cfg, a.sources, a.store.deps(a.kept), metrics, log, &a.onStop); err != nil {
		return err
	}
	if a.providers, err = newProviders(cfg, getenv, userAgent(a.opts.Version), log, &a.onStop); err != nil {
		return err
	}
	if a.submits, err = newSubmits(cfg, a.store, a.providers, getenv, metrics, log); err != nil {
		return err
	}
	if a.consumers, err = newConsumers(&parts{
		cfg: cfg, store: a.store, getenv: getenv, metrics: metrics, version: a.opts.Version, secrets: &a.secrets, log: log, onStop: &a.onStop,
	}); err != nil {
		return err
	}
	if a.ledger, err = newLedger(cfg, a.store, a.providers.asker, metrics, log); err != nil {
		return err
	}
	if a.reloader, err = newReloader(a.opts.File, getenv, cfg, a.sources, a.seen, a.ingress, metrics, log.Named("reload")); err != nil {
		return err
	}
	a.reloader.users, a.reloader.providers, a.reloader.submits = a.secrets, a.providers, a.submits.sources
	return nil
}

// provision makes the streams what they are to be and starts what looks after them.
func (a *App) provision() error {
	a.store.serveGuests(a.ctx, a.group, a.cfg)
	if err := a.store.provision(a.ctx, a.group, a.cfg.Ingress.MaxBody); err != nil {
		return err
	}
	return register(a.metrics, a.store.upkeep(a.ctx, a.group, a.folder, a.cfg)...)
}

func (a *App) startIngress() error {
	if a.ingress == nil {
		return nil
	}
	watch := newStoreWatch(a.store, a.cfg.Ingress.Ack == config.AckLocal)
	a.checks.Add(watch.reason)
	a.group.Go(func() error { watch.run(a.ctx); return nil })
	// The ring takes what is refused until the last answer.
	ring, endRing := context.WithCancel(context.WithoutCancel(a.ctx))
	a.group.Go(func() error { defer endRing(); return a.ingress.Run(a.ctx) })
	a.group.Go(func() error { return a.kept.refused.Run(ring) })
	return nil
}

func (a *App) startAPI() error {
	// Who waits does not hold up the end.
	a.group.Go(func() error { <-a.ctx.Done(); a.hub.Close(); return nil })
	if a.operators == nil {
		return nil
	}
	a.operators.SetAPI(func(api *echo.Group) {
		a.store.registerAPI(api, a.cfg, a.ingress, a.submits)
		a.store.registerPredictions(api, a.cfg, a.hub)
	})
	a.group.Go(func() error { <-a.ctx.Done(); a.submits.Close(); return nil })
	return nil
}

func (a *App) startRedelivery() error {
	if !a.cfg.Has(config.RoleConsumers) {
		return nil
	}
	s, names, bindOnly := a.store, a.cfg.Names(), a.cfg.NATS.Provision != config.ProvisionCreate
	for _, run := range []func(context.Context) error{
		redelivery.NewMover(s.consume, s.publisher, redelivery.MoverConfig{Names: names, BindOnly: bindOnly, Logger: a.log}).Run,
		redelivery.NewReaper(s.consume, s.publisher, redelivery.MoverConfig{Names: names, BindOnly: bindOnly, Logger: a.log}).Run,
		redelivery.NewWaiter(s.consume, redelivery.WaiterConfig{Names: names, Alarms: s.alarms, Logger: a.log}).Run,
	} {
		a.group.Go(s.onceProvisioned(a.ctx, run))
	}
	return nil
}

func (a *App) startPredictions() error {
	if a.ledger == nil {
		return nil
	}
	a.group.Go(a.store.onceProvisioned(a.ctx, func(ctx context.Context) error { runLedger(ctx, a.ledger, a.log); return nil }))
	a.group.Go(func() error { a.store.runWatches(a.ctx, a.cfg, a.log); return nil })
	return nil
}

func (a *App) startConsumers() error {
	for _, consumer := range a.consumers {
		a.group.Go(func() error {
			if !a.store.durables.wait(a.ctx) {
				return nil
			}
			// One that cannot go on must not take the ingress with it.
			if err := consumer.Run(a.ctx); err != nil {
				a.log.Error("a consumer has ended; webhooks are still accepted and kept for it", zap.Error(err))
			}
			return nil
		})
	}
	return nil
}

func (a *App) startReloading() error {
	a.group.Go(func() error { a.reloader.run(a.ctx, a.opts.Reload); return nil })
	return nil
}

// tellReady writes down where everything listens, for verbs that look for this bridge.
func (a *App) tellReady() error {
	a.started.Store(true)
	r := a.Ready()
	a.holder.Ready, a.holder.NATSURL, a.holder.AdminURL = true, r.NATS, r.Admin
	return a.folder.Announce(a.holder)
}
