package app

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
)

// openIngress listens for webhooks; connections wait until runIngress.
func (a *App) openIngress() error {
	a.kept = newKeptDeliveries(a.store)
	if err := a.register(a.kept.collectors()...); err != nil {
		return err
	}
	if !a.opts.ownSocket {
		a.saySocket(a.opts.Webhooks, "ingress.listen", a.cfg.Ingress.Listen, a.cfg.Has(config.RoleIngress))
	}
	if !a.cfg.Has(config.RoleIngress) {
		return nil
	}
	routes, err := a.sources.routes()
	if err != nil {
		return err
	}
	deps := ingress.Deps{Publisher: a.store.keep(), Quarantine: a.kept.quarantine, Unconfirmed: a.kept.unconfirmed, Progress: a.progress(), Refused: a.kept.refused, Alarms: a.store.alarms, Tracer: a.tracer}
	cfg, err := ingressConfig(a.cfg.Ingress)
	if err != nil {
		return err
	}
	cfg.Socket, cfg.OwnSocket, cfg.LogProblemsOnly = a.opts.Webhooks, a.opts.ownSocket, a.cfg.Log.ProblemsOnly()
	if a.ingress, err = ingress.New(cfg, routes, deps, a.log.Named("ingress")); err != nil {
		return err
	}
	a.onStop.add("ingress", func() error {
		if err := a.ingress.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return a.register(a.ingress.Collectors()...)
}

// runIngress accepts webhooks. The ring of refused deliveries takes them until the last
// webhook is answered.
func (a *App) runIngress() error {
	if a.ingress == nil {
		return nil
	}
	watch := newStoreWatch(a.store)
	a.checks.Add(watch.reason)
	a.group.Go(func() error { watch.run(a.ctx); return nil })
	ctx := a.ctx
	if a.successor {
		ctx, a.leaveSocket = context.WithCancel(context.WithoutCancel(a.ctx))
	}
	ring, endRing := context.WithCancel(context.WithoutCancel(a.ctx))
	for _, run := range []func() error{
		func() error { defer endRing(); return a.ingress.Run(ctx) },
		func() error { return a.kept.refused.Run(ring) },
	} {
		a.accepting.Go(func() error {
			defer a.stop() // without it, or after it has failed, the App is of no use
			return run()
		})
	}
	return nil
}

func ingressConfig(in config.Ingress) (ingress.Config, error) {
	proxies, err := in.Proxies()
	return ingress.Config{
		Listen:                   in.Listen,
		Deadline:                 time.Duration(in.Deadline),
		MaxBody:                  int64(in.MaxBody),
		MaxInFlight:              in.MaxInFlight,
		MaxInFlightBytes:         int64(in.MaxInFlightBytes),
		MaxConnections:           in.MaxConnections,
		IdleTimeout:              time.Duration(in.IdleTimeout),
		MaxConnectionsPerAddress: in.MaxConnectionsPerAddress,
		RatePerAddress:           float64(in.RatePerAddress),
		BurstPerAddress:          in.Burst(),
		TLSCert:                  in.TLS.Cert,
		TLSKey:                   in.TLS.Key,
		TrustedProxies:           proxies,
		ShutdownDelay:            time.Duration(in.ShutdownDelay),
	}, err
}
