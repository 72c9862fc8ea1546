package stream

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// stuckFailures in a row, or stuckTime without an answer, and nobody waits for NATS any more.
	stuckFailures = 3
	stuckTime     = 1200 * time.Millisecond
	// moveEvery is the least time between two changes of a server that does not serve.
	moveEvery = 2 * time.Second
	// watchStuck is how often it is looked whether nobody should wait any more.
	watchStuck = 200 * time.Millisecond
	// behindAfter is the age of the oldest record from which on the forwarder is behind.
	behindAfter = time.Minute
)

// health is what the forwarder knows of NATS, guarded by its lock.
type health struct {
	failures int   // since the last success
	failing  int   // blocks that are being retried
	err      error // of the last failure, nil after a success
	moved    time.Time
	stuck    chan struct{} // closed while nobody should wait for NATS
	closed   bool          // stuck
}

func (h *health) succeeded(b *block) {
	h.failures, h.err = 0, nil
	if b.failed {
		h.failing--
	}
}

func (h *health) mayMove() bool {
	if time.Since(h.moved) < moveEvery {
		return false
	}
	h.moved = time.Now()
	return true
}

// failed notes that a block was not stored. It leaves a server that does not serve: a client of
// a server that is cut off from its cluster stays connected to it until it is told to leave.
func (f *Forwarder) failed(b *block, err error) {
	f.mu.Lock()
	h := &f.health
	h.failures++
	h.err = err
	if !b.failed {
		b.failed = true
		h.failing++
	}
	f.settleBeginning(b)
	first, move := h.failures == 1, h.failures >= stuckFailures && h.mayMove()
	f.mu.Unlock()
	f.lookStuck()
	if first {
		level := zap.WarnLevel
		if errors.Is(err, errNotFit) {
			level = zap.InfoLevel // as at every start; provisioning reports the problem
		}
		f.log.Log(level, "NATS does not take what is in the journal, trying again", zap.Error(err))
	}
	if move {
		f.leaveServer(err)
	}
}

func (f *Forwarder) leaveServer(err error) {
	nc := f.publisher.js.Conn()
	if !f.cfg.Cluster || !nc.IsConnected() || errors.Is(err, bridge.ErrFull) || errors.Is(err, errNotFit) {
		return
	}
	server := nc.ConnectedServerId()
	f.log.Warn("NATS is connected and does not serve: trying another server", zap.String("server", nc.ConnectedServerName()), zap.Error(err))
	for _, js := range append([]jetstream.JetStream{f.publisher.js}, f.others...) {
		if nc := js.Conn(); nc.ConnectedServerId() == server {
			if err := nc.ForceReconnect(); err != nil {
				f.log.Error("the connection cannot be made anew", zap.Error(err))
			}
		}
	}
}

// Unserved tells the forwarder that NATS, although connected, failed at something other than a
// record, such as looking up a stream.
func (f *Forwarder) Unserved(err error) {
	f.mu.Lock()
	h := &f.health
	h.failures++
	move := h.failures >= stuckFailures && h.mayMove()
	f.mu.Unlock()
	if move {
		f.leaveServer(err)
	}
}

// Served tells the forwarder that NATS serves again, so that it is not stuck while nothing waits.
func (f *Forwarder) Served() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.health.failing == 0 {
		f.health.failures = 0
	}
}

// Stuck reports whether NATS takes nothing, as far as known.
func (f *Forwarder) Stuck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stuckLocked()
}

func (f *Forwarder) stuckLocked() bool {
	return !f.recognised.Load() || !f.publisher.Fit() || !f.publisher.js.Conn().IsConnected() || f.health.failures >= stuckFailures ||
		len(f.blocks) > 0 && time.Since(f.blocks[0].began) > stuckTime
}

// stuckSignal returns a channel that is closed while nobody should wait for NATS.
func (f *Forwarder) stuckSignal() <-chan struct{} {
	f.lookStuck()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.health.stuck
}

func (f *Forwarder) lookStuck() {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := &f.health
	switch stuck := f.stuckLocked(); {
	case stuck && !h.closed:
		close(h.stuck)
		h.closed = true
	case !stuck && h.closed:
		h.stuck, h.closed = make(chan struct{}), false
	}
}

// watch notices what no publish tells, and raises the alarms of what lasts.
func (f *Forwarder) watch(ctx context.Context) {
	tick := time.NewTicker(watchStuck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		f.lookStuck()
		f.journal.Look()
		f.lasting.Look(f.wrong(time.Now())...)
	}
}

// wrong returns the alarms of what lasts.
func (f *Forwarder) wrong(now time.Time) (alarms []bridge.Alarm) {
	f.mu.Lock()
	err := f.health.err
	f.mu.Unlock()
	if errors.Is(err, bridge.ErrFull) {
		alarms = append(alarms, bridge.Alarm{
			Kind: bridge.AlarmStoreFull, Subject: f.cfg.Names.EventsStream(), Over: "the stream of events takes events again",
			Text: "the stream of events is full, and webhooks wait in the journal, and are refused when that is full too: " +
				"raise nats.events.max_bytes, or have the consumers handle what waits",
			Details: map[string]any{"error": err.Error()},
		})
	}
	state := f.journal.State()
	if state.Records == 0 || now.Sub(state.Oldest) < behindAfter {
		return alarms
	}
	text := fmt.Sprintf("the oldest of %d records in the journal has waited for NATS for %v, no accepted event is lost: ", state.Records, now.Sub(state.Oldest).Round(time.Second))
	details := map[string]any{"records": state.Records, "oldest": state.Oldest}
	if err != nil {
		details["error"] = err.Error()
	}
	if f.Stuck() {
		text += "look at NATS and at nats.url"
	} else {
		text += "NATS takes less than what comes in"
	}
	return append(alarms, bridge.Alarm{Kind: bridge.AlarmJournalBehind, Over: "no record in the journal waits for more than a minute", Text: text, Details: details})
}

var (
	forwardedDesc = prometheus.NewDesc("hookspan_forwarded_total", "Records that were moved from the journal to NATS.", nil, nil)
	availableDesc = prometheus.NewDesc("hookspan_nats_available", "Whether NATS takes what is in the journal: 1, or 0 while the journal grows.", nil, nil)
)

// Describe implements prometheus.Collector.
func (f *Forwarder) Describe(ch chan<- *prometheus.Desc) {
	ch <- forwardedDesc
	ch <- availableDesc
}

// Collect implements prometheus.Collector.
func (f *Forwarder) Collect(ch chan<- prometheus.Metric) {
	available := 1.0
	if f.Stuck() {
		available = 0
	}
	ch <- prometheus.MustNewConstMetric(forwardedDesc, prometheus.CounterValue, float64(f.forwarded.Load()))
	ch <- prometheus.MustNewConstMetric(availableDesc, prometheus.GaugeValue, available)
}
