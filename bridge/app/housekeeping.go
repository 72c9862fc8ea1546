package app

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/housekeeping"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
)

const checkpointFile = "checkpoint.json"

// runHousekeeping runs everything that looks after the store. Its failures do not end the
// bridge.
func (a *App) runHousekeeping() error {
	s, names, log := a.store, a.cfg.Names(), a.log.Named("housekeeping")
	which := "external"
	if s.embedded != nil {
		which = "embedded"
	}
	checkpoint, err := housekeeping.OpenCheckpoint(a.folder.Memory(checkpointFile), which)
	if err != nil {
		log.Error("what was remembered of the streams is lost, what went missing before this start will not be noticed", zap.Error(err))
	}
	kept := []string{names.EventsStream()}
	janitor := housekeeping.NewJanitor(s.consume, housekeeping.JanitorConfig{
		Names: names, Alarms: s.alarms, Logger: log,
		BeforePurge: func(to uint64) {
			if err := checkpoint.Purging(names.EventsStream(), to); err != nil {
				log.Warn("a purge could not be noted, and may look like a loss after a crash", zap.Error(err))
			}
		},
	})
	auditor := housekeeping.NewAuditor(s.consume, checkpoint, housekeeping.AuditorConfig{
		Streams: []string{
			names.EventsStream(), names.DeadStream(), names.QuarantineStream(), names.UnconfirmedStream(),
			names.RefusedStream(), names.AlarmsStream(), names.AttemptsStream(), names.LaterStream(),
			names.AdvisoriesStream(), names.PollsStream(), names.ErasedStream(),
		},
		Erased: s.erased.ErasedEvents,
		// Every bridge that uses an external NATS purges its streams.
		Kept: kept, Alone: s.embedded != nil, Alarms: s.alarms, Logger: log,
	})
	scrub := housekeeping.NewScrub(s.consume, checkpoint, housekeeping.ScrubConfig{
		Streams: []string{names.EventsStream(), names.QuarantineStream(), names.DeadStream()},
		Kept:    kept, Erased: s.erased.ErasedEvent, Alarms: s.alarms, Logger: log,
	})
	watch := durables.NewWatch(s.durables(), durables.WatchConfig{Record: s.record, Alarms: s.alarms, Logger: log})
	keeping := []func(context.Context) error{auditor.Run}
	if !a.acceptsOnly() {
		keeping = append(keeping, janitor.Run, scrub.Run, watch.Run)
	}
	for _, run := range keeping {
		a.group.Go(a.provisioner.whenProvisioned(a.ctx, run))
	}
	running := []func(context.Context) error{
		housekeeping.NewClock(housekeeping.ClockConfig{Alarms: s.alarms}).Run,
		func(ctx context.Context) error { s.watchLeftBehind(ctx); return nil },
		func(ctx context.Context) error { return s.alarms.Run(ctx, s.publisher) },
	}
	if s.embedded != nil {
		running = append(running, func(ctx context.Context) error { return s.embedded.Watch(ctx, s.alarms, log) })
	}
	for _, run := range running {
		a.group.Go(func() error { return run(a.ctx) })
	}
	return a.register(slices.Concat(auditor.Collectors(), scrub.Collectors(), watch.Collectors(), s.alarms.Collectors())...)
}

// acceptsOnly reports whether this process has the role ingress alone, with an external NATS. The
// process then leaves it to the others to purge what is handled and to look at what is stored: the
// one that everybody can reach needs no right to read or remove events.
func (a *App) acceptsOnly() bool {
	return a.store.embedded == nil && len(a.cfg.Roles) == 1 && a.cfg.Has(config.RoleIngress)
}
