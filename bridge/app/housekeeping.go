package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/housekeeping"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// kickPause is the least time between two looks at the streams that publishes
// without an answer have asked for.
const kickPause = time.Second

// upkeep runs everything that looks after the store until ctx ends, and returns
// its metrics. Nothing of it ends the bridge.
func (s *store) upkeep(ctx context.Context, group *errgroup.Group, folder *datafolder.Folder, cfg *config.Config) []prometheus.Collector {
	names, log := s.cfg.Names, s.log.Named("upkeep")
	which := "external"
	if s.embedded != nil {
		which = "embedded"
	}
	book, err := housekeeping.OpenCheckpoint(folder.Memory("audit.json"), which)
	if err != nil {
		log.Error("what was remembered of the streams is lost, what went missing before this start will not be noticed", zap.Error(err))
	}
	kept := []string{names.EventsStream()}
	janitor := housekeeping.NewJanitor(s.consume, housekeeping.JanitorConfig{
		Names: names, Alarms: s.alarms, Logger: log,
		BeforePurge: func(to uint64) {
			if err := book.Purging(names.EventsStream(), to); err != nil {
				log.Warn("a purge could not be noted, and may look like a loss after a crash", zap.Error(err))
			}
		},
	})
	auditor := housekeeping.NewAuditor(s.consume, book, housekeeping.AuditorConfig{
		Streams: []string{
			names.EventsStream(), names.DeadStream(), names.QuarantineStream(),
			names.RefusedStream(), names.AlarmsStream(), names.AttemptsStream(), names.LaterStream(),
			names.AdvisoriesStream(), names.PredictionsStream(),
		},
		// The streams of an external NATS are purged by every bridge that uses it.
		Kept: kept, Alone: s.embedded != nil, Alarms: s.alarms, Logger: log,
	})
	scrub := housekeeping.NewScrub(s.consume, book, housekeeping.ScrubConfig{
		Streams: []string{names.EventsStream(), names.QuarantineStream(), names.DeadStream()},
		Kept:    kept, Alarms: s.alarms, Logger: log,
	})
	clock := housekeeping.NewClock(housekeeping.ClockConfig{Alarms: s.alarms})
	watch := durables.NewWatch(s.fleet(cfg), durables.WatchConfig{Record: s.durables.record, Alarms: s.alarms, Logger: log})
	for _, run := range []func(context.Context) error{janitor.Run, auditor.Run, scrub.Run, watch.Run} {
		group.Go(s.onceProvisioned(ctx, run))
	}
	group.Go(func() error { return clock.Run(ctx) })
	group.Go(func() error { s.watchLeft(ctx, cfg, folder); return nil })
	if s.embedded != nil {
		group.Go(func() error { return s.embedded.Watch(ctx, s.alarms, log) })
	}
	if s.spool != nil {
		group.Go(func() error { return s.spool.Watch(ctx, s.alarms, log) })
	}
	collectors := slices.Concat(auditor.Collectors(), scrub.Collectors(), watch.Collectors())
	group.Go(func() error { return s.alarms.Run(ctx, s.publisher) })
	return append(collectors, s.alarms.Collectors()...)
}

// raiseChanges tells what provisioning found, once the streams had been as they
// should be: before that it is we who make them so. A stream that had lost its
// description is told always.
func (s *store) raiseChanges(changes []stream.Change, err error) {
	for _, c := range changes {
		if c.Kept > 0 {
			s.alarms.Raise(bridge.Alarm{
				Kind: bridge.AlarmStoreCorrupt, Subject: c.Stream,
				Text: c.Stream + ": the server could not read the description of the stream (meta.inf); it was written anew, " +
					"and the messages of the stream are still there: look for what damaged the disk",
				Details: map[string]any{"last_sequence": c.Kept},
			})
		}
	}
	changes = slices.DeleteFunc(changes, func(c stream.Change) bool { return c.Kept > 0 })
	if !s.settled {
		s.settled = err == nil
		return
	}
	if errors.Is(err, stream.ErrUnfit) {
		s.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmStreamChanged,
			Text: "somebody changed a stream so that it cannot be used any more: " + err.Error(),
		})
	}
	for _, c := range changes {
		alarm := bridge.Alarm{
			Kind: bridge.AlarmStreamRemoved, Subject: c.Stream,
			Text: c.Stream + ": somebody removed the stream, with all that was in it; it was made anew, empty",
		}
		if !c.Created {
			alarm.Kind = bridge.AlarmStreamChanged
			alarm.Text = c.Stream + ": somebody changed the stream, it was changed back: " + strings.Join(c.Differences, "; ")
		}
		s.alarms.Raise(alarm)
	}
}

// raiseDifferences tells where the streams are not what the configuration says, while
// somebody else provisions them.
func (s *store) raiseDifferences(changes []stream.Change) {
	for _, c := range changes {
		alarm := bridge.Alarm{
			Kind: bridge.AlarmStreamRemoved, Subject: c.Stream,
			Text: c.Stream + ": there is no such stream: make it with hookspan provision",
		}
		if !c.Created {
			alarm.Kind = bridge.AlarmStreamChanged
			alarm.Text = c.Stream + ": the stream is not what the configuration says, change one or the other, with hookspan provision for example: " +
				strings.Join(c.Differences, "; ")
		}
		s.alarms.Raise(alarm)
	}
}

// waitToProvision returns when it is time to look at the streams again: after
// wait, or earlier when a publish found no stream. It is false when ctx ends.
func (s *store) waitToProvision(ctx context.Context, wait time.Duration) bool {
	least := time.After(min(wait, kickPause))
	select {
	case <-ctx.Done():
		return false
	case <-least:
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.publisher.Unserved():
	case <-time.After(wait - min(wait, kickPause)):
	}
	return true
}
