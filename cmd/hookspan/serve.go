package main

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/admin"
	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/redelivery"
	"github.com/hookspan/hookspan/bridge/telemetry"
)

type serveCmd struct {
	configFlag
}

// stopMargin is how long everything but the requests in flight may take to end:
// handlers have 20 s, what was sent to a provider 30 and 15 more to be recorded, and
// then the spool has 10.
const stopMargin = time.Minute

// Run serves until it is told to stop. Whatever hangs then, it returns.
func (c *serveCmd) Run(e *env) error {
	hangups := e.hangups() // from the start: one that comes too early ends the process
	seen := digests{}      // before they are read, so that no later change is missed
	seen.add(c.File)
	cfg, err := load(c.File)
	if err != nil {
		return err
	}
	seen.add(cfg.secretFiles()...)
	done := make(chan error, 1)
	go func() { done <- c.serve(e, cfg, seen, hangups) }()
	return endWithin(e.ctx, time.Duration(cfg.Ingress.ShutdownDelay+cfg.Ingress.Deadline)+stopMargin, done)
}

// serve begins everything, from what must outlive the rest to what takes
// webhooks, and ends it in reverse order.
func (c *serveCmd) serve(e *env, cfg *config, seen digests, hangups <-chan os.Signal) (err error) {
	metrics, err := telemetry.NewRegistry(telemetry.Build{Version: version(), NATS: server.VERSION})
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(cfg.Log.config(), e.stderr, metrics)
	if err != nil {
		return err
	}
	// What libraries write to the standard log.
	defer zap.RedirectStdLog(log.Named("std"))()
	var onStop cleanup
	defer func() { err = errors.Join(err, onStop.run()) }()

	folder, err := queue.OpenFolder(cfg.DataDir)
	if err != nil {
		return err
	}
	onStop.add(folder.Close)
	holder := queue.Holder{PID: os.Getpid()}
	if c.File != "" {
		holder.Config = absolute(c.File)
	}
	// Already now, so that --config finds a bridge that has only begun.
	if err := folder.Announce(holder); err != nil {
		return err
	}

	running, stop := context.WithCancel(e.ctx)
	defer stop()
	var started atomic.Bool
	checks := &admin.Checks{}
	checks.Add(func() string { return phase(running, &started) })
	operators, err := startAdmin(running, cfg, admin.Deps{Checks: checks, Metrics: metrics}, log.Named("admin"), &onStop)
	if err != nil {
		return err
	}

	sources, err := resolveSources(cfg, e.getenv)
	if err != nil {
		return err
	}
	sources.warn(log, sortedKeys(sources))
	store, err := openStore(cfg, folder, e.getenv, log, &onStop)
	if err != nil {
		return err
	}
	withheld := newWithheld(store)
	if err := register(metrics, append(store.collectors(), withheld.collectors()...)...); err != nil {
		return err
	}
	hub, err := newHub(store, metrics, log)
	if err != nil {
		return err
	}
	onStop.add(func() error { hub.Close(); return nil })
	in, err := newIngress(cfg, sources, store.deps(withheld), metrics, log, &onStop)
	if err != nil {
		return err
	}
	providers, err := newProviders(cfg, e.getenv, log, &onStop)
	if err != nil {
		return err
	}
	submits, err := newSubmits(cfg, store, providers, e.getenv, metrics, log)
	if err != nil {
		return err
	}
	var secretUsers secretUsers
	consumers, err := newConsumers(&parts{cfg: cfg, store: store, getenv: e.getenv, metrics: metrics, secrets: &secretUsers, log: log, onStop: &onStop})
	if err != nil {
		return err
	}
	ledger, err := newLedger(cfg, store, providers.asker, metrics, log)
	if err != nil {
		return err
	}
	reloader, err := newReloader(c.File, e.getenv, cfg, sources, seen, in, metrics, log.Named("reload"))
	if err != nil {
		return err
	}
	reloader.users, reloader.providers, reloader.submits = secretUsers, providers, submits.sources

	group, ctx := errgroup.WithContext(running)
	store.serveGuests(ctx, group, cfg)
	if err := store.provision(ctx, group, cfg.Ingress.MaxBody); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	if err := register(metrics, store.upkeep(ctx, group, folder, cfg)...); err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	if in != nil {
		watch := newStoreWatch(store, cfg.Ingress.Ack == ackLocal)
		checks.Add(watch.reason)
		group.Go(func() error { watch.run(ctx); return nil })
		// The ring takes what is refused until the last answer.
		ring, endRing := context.WithCancel(context.WithoutCancel(ctx))
		group.Go(func() error { defer endRing(); return in.Run(ctx) })
		group.Go(func() error { return withheld.refused.Run(ring) })
	}
	if operators != nil {
		operators.SetAPI(func(api *echo.Group) {
			store.registerAPI(api, cfg, in, submits)
			store.registerPredictions(api, cfg, hub)
		})
		group.Go(func() error { <-ctx.Done(); submits.Close(); return nil })
	}
	if cfg.has(roleConsumers) {
		bindOnly := cfg.NATS.Provision != provisionCreate
		mover := redelivery.NewMover(store.consume, store.publisher, redelivery.MoverConfig{Names: cfg.names(), BindOnly: bindOnly, Logger: log})
		reaper := redelivery.NewReaper(store.consume, store.publisher, redelivery.ReaperConfig{Names: cfg.names(), BindOnly: bindOnly, Logger: log})
		waiter := redelivery.NewWaiter(store.consume, redelivery.WaiterConfig{Names: cfg.names(), Alarms: store.alarms, Logger: log})
		for _, run := range []func(context.Context) error{mover.Run, reaper.Run, waiter.Run} {
			group.Go(store.onceProvisioned(ctx, run))
		}
	}
	if ledger != nil {
		group.Go(store.onceProvisioned(ctx, func(ctx context.Context) error { runLedger(ctx, ledger, log); return nil }))
	}
	for _, consumer := range consumers {
		group.Go(func() error {
			if !store.durables.wait(ctx) {
				return nil
			}
			// One that cannot go on must not take the ingress with it.
			if err := consumer.Run(ctx); err != nil {
				log.Error("a consumer has ended; webhooks are still accepted and kept for it", zap.Error(err))
			}
			return nil
		})
	}
	group.Go(func() error { reloader.run(ctx, hangups); return nil })
	group.Go(func() error { <-ctx.Done(); hub.Close(); return nil }) // who waits does not hold up the end
	if cfg.has(roleReconciler) {
		group.Go(func() error { store.runWatches(ctx, cfg, log); return nil })
	}

	started.Store(true)
	r := newReady(cfg, in, operators, store)
	holder.Ready, holder.NATSURL, holder.AdminURL = true, r.NATS, r.Admin
	err = folder.Announce(holder)
	if err == nil {
		err = announce(e, c.File, cfg, sources, r)
	}
	if err != nil {
		stop()
		return errors.Join(err, group.Wait())
	}
	<-ctx.Done()
	stop() // one that failed stops the others, and /readyz says so
	log.Info("stopping")
	return group.Wait()
}
