package fleet

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	defaultInterval = 15 * time.Second
	lookTimeout     = 10 * time.Second
	farewellTimeout = 2 * time.Second
	// exhaustedLooks is in how many looks in a row a durable must have events that it
	// is delivered no more until it is said: their letters may be on the way.
	exhaustedLooks = 4
)

// WatchConfig of a [Watch]. Zero values are defaults.
type WatchConfig struct {
	// Interval between two looks, default 15 s.
	Interval time.Duration
	// Record is told where the durables stand; nil is told nothing.
	Record *Record
	Alarms bridge.Alarmer
	Logger *zap.Logger
}

// Watch measures where each consumer stands, and raises an alarm of one that has
// events which the server delivers no more and of which there is no dead letter: what
// the server said of them was lost.
type Watch struct {
	fleet   *Fleet
	cfg     WatchConfig
	looks   map[string]int // with exhausted events, in a row, by consumer
	orphans orphans

	pending, unsettled, later, dead, paused, exhausted *prometheus.GaugeVec
}

// NewWatch returns a watch that is not running yet.
func NewWatch(f *Fleet, cfg WatchConfig) *Watch {
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hookspan_consumer_" + name, Help: help}, []string{"consumer"})
	}
	return &Watch{
		fleet: f, cfg: cfg, looks: map[string]int{},
		pending:   gauge("pending_events", "Events that the consumer was not given yet."),
		unsettled: gauge("unsettled_events", "Events that are with a worker, or wait with the durable for their next attempt."),
		later:     gauge("later_events", "Events that wait for an attempt that is far away."),
		dead:      gauge("dead_letters", "Dead letters of the consumer."),
		paused:    gauge("paused", "1 while the consumer is paused."),
		exhausted: gauge("exhausted_events", "Events that the server delivers no more and that have no dead letter, at least."),
	}
}

// Collectors are the metrics.
func (w *Watch) Collectors() []prometheus.Collector {
	return []prometheus.Collector{w.pending, w.unsettled, w.later, w.dead, w.paused, w.exhausted}
}

// Run looks until ctx ends, and returns nil.
func (w *Watch) Run(ctx context.Context) error {
	tick := time.NewTicker(w.cfg.Interval)
	defer tick.Stop()
	for {
		if err := w.Look(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.Debug("consumers could not be looked at", zap.Error(err))
		}
		select {
		case <-ctx.Done():
			w.remember(context.WithoutCancel(ctx))
			return nil
		case <-tick.C:
		}
	}
}

// remember notes where the consumers stand at the end.
func (w *Watch) remember(ctx context.Context) {
	if w.cfg.Record == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	states, err := w.fleet.List(ctx)
	if err == nil {
		err = w.cfg.Record.Saw(states)
	}
	if err != nil {
		w.cfg.Logger.Debug("where the consumers stand at the end is not remembered", zap.Error(err))
	}
}

// Look looks once.
func (w *Watch) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	states, err := w.fleet.List(ctx)
	if err != nil {
		return err
	}
	for _, g := range []*prometheus.GaugeVec{w.pending, w.unsettled, w.later, w.dead, w.paused, w.exhausted} {
		g.Reset() // of consumers that are gone
	}
	if w.cfg.Record != nil {
		if err := w.cfg.Record.Saw(states); err != nil {
			w.cfg.Logger.Warn("where the consumers stand could not be remembered; a durable whose state is lost may give more events again", zap.Error(err))
		}
	}
	w.orphans.look(states, w.cfg.Alarms)
	looks := map[string]int{}
	for _, s := range states {
		w.pending.WithLabelValues(s.Name).Set(float64(s.Pending))
		w.unsettled.WithLabelValues(s.Name).Set(float64(s.Unsettled))
		w.later.WithLabelValues(s.Name).Set(float64(s.Later))
		w.dead.WithLabelValues(s.Name).Set(float64(s.Dead))
		paused := 0.0
		if !s.PausedUntil.IsZero() {
			paused = 1
		}
		w.paused.WithLabelValues(s.Name).Set(paused)
		w.exhausted.WithLabelValues(s.Name).Set(float64(s.Exhausted))
		if s.Exhausted == 0 {
			continue
		}
		looks[s.Name] = w.looks[s.Name] + 1
		if looks[s.Name] >= exhaustedLooks {
			w.alarm(s)
		}
	}
	w.looks = looks
	return nil
}

func (w *Watch) alarm(s bridge.ConsumerState) {
	w.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmExhausted, Subject: s.Name,
		Text: fmt.Sprintf("consumer %s has at least %d events that were delivered as often as they may be, and no dead letter says which: "+
			"the server's advisories of them were lost: give it the events of that time again with hookspan events replay, or set it back with hookspan consumers seek", s.Name, s.Exhausted),
		Details: map[string]any{"consumer": s.Name, "events": s.Exhausted, "delivered": s.Delivered},
	})
}
