package durables

import (
	"cmp"
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	defaultInterval = 15 * time.Second
	lookTimeout     = 10 * time.Second
	farewellTimeout = 2 * time.Second
)

// WatchConfig of a [Watch]. Zero values are defaults.
type WatchConfig struct {
	// Interval between two looks, default 15 s.
	Interval time.Duration
	// Record keeps the states of the durables and the reported dead letters. Nil keeps them for
	// the life of the process, and reports all existing dead letters.
	Record *Record
	Alarms bridge.Alarmer
	Logger *zap.Logger
}

// Watch measures where each consumer stands, and raises alarms for dead letters, consumers that
// fail or are unread, and exhausted events without a dead letter.
type Watch struct {
	durables *Durables
	cfg      WatchConfig
	now      func() time.Time
	// By consumer: how many looks in a row.
	looks   map[string]int       // with exhausted events
	unread  map[string]time.Time // since when nobody fetches
	raised  map[string]time.Time // when its last alarm of dead letters was raised
	orphans orphans
	lasting *lasting.Alarms
	waits   map[string]waitsSince

	pending, unsettled, later, oldestWaiting, dead, paused, exhausted, state *prometheus.GaugeVec
}

// NewWatch returns a watch that is not running yet.
func NewWatch(f *Durables, cfg WatchConfig) *Watch {
	cfg.Interval = cmp.Or(cfg.Interval, defaultInterval)
	cfg.Logger = cmp.Or(cfg.Logger, zap.NewNop())
	if cfg.Record == nil {
		cfg.Record = newRecord(nil, Place{})
	}
	gauge := func(name, help string, more ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hookspan_consumer_" + name, Help: help}, append([]string{"consumer"}, more...))
	}
	return &Watch{
		durables: f, cfg: cfg, now: time.Now,
		looks: map[string]int{}, unread: map[string]time.Time{}, raised: map[string]time.Time{}, waits: map[string]waitsSince{}, lasting: lasting.New(cfg.Alarms),
		pending:       gauge("pending_events", "Events that the consumer was not given yet."),
		unsettled:     gauge("unsettled_events", "Events that are with a worker, or wait with the durable for their next attempt."),
		later:         gauge("later_events", "Events that wait for an attempt that is far away."),
		oldestWaiting: gauge("oldest_waiting_seconds", "For how long the oldest event has been stored that waits with the durable; 0 when none waits."),
		dead:          gauge("dead_letters", "Dead letters of the consumer."),
		paused:        gauge("paused", "1 while the consumer is paused."),
		exhausted:     gauge("exhausted_events", "Events that the server delivers no more and that have no dead letter, at least."),
		state:         gauge("state", "1 for the state that the consumer is in.", "state"),
	}
}

// Collectors returns the metrics.
func (w *Watch) Collectors() []prometheus.Collector {
	var out []prometheus.Collector
	for _, g := range w.gauges() {
		out = append(out, g)
	}
	return out
}

func (w *Watch) gauges() []*prometheus.GaugeVec {
	return []*prometheus.GaugeVec{w.pending, w.unsettled, w.later, w.oldestWaiting, w.dead, w.paused, w.exhausted, w.state}
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

// remember saves the states at shutdown.
func (w *Watch) remember(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, farewellTimeout)
	defer cancel()
	began := time.Now()
	states, err := w.durables.List(ctx)
	if err == nil {
		err = w.cfg.Record.Saw(states, began)
	}
	if err != nil {
		w.cfg.Logger.Debug("where the consumers stand at the end is not remembered", zap.Error(err))
	}
}

// Look updates the metrics and raises alarms once.
func (w *Watch) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	began := time.Now()
	states, err := w.durables.List(ctx)
	if err != nil {
		return err
	}
	for _, g := range w.gauges() {
		g.Reset() // drop the values of removed consumers
	}
	for _, s := range states {
		w.measure(s)
	}
	w.measureOldest(ctx, states)
	w.judge(states)
	if err := w.cfg.Record.Saw(states, began); err != nil {
		w.cfg.Logger.Warn("where the consumers stand could not be remembered; a durable whose state is lost may give more events again", zap.Error(err))
	}
	return nil
}

func (w *Watch) measure(s adminapi.ConsumerState) {
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
	w.state.WithLabelValues(s.Name, string(s.State)).Set(1)
}
