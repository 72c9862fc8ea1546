package poller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
)

// Results of a poll.
const (
	pollEnded    = "ended"     // the prediction has ended
	pollOpen     = "open"      // the prediction has not ended
	pollNotFound = "not_found" // the provider does not know it
	pollLimited  = "limited"   // the provider does not accept polls now
	pollFailed   = "failed"    // no answer came
	pollRefused  = "refused"   // the answer is not usable
)

type metrics struct {
	polls, lost *prometheus.CounterVec
	paused      []prometheus.Collector
}

func newMetrics(r *Poller) *metrics {
	m := &metrics{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_predictions_polls_total",
			Help: "Polls of a prediction at its provider, by their result.",
		}, []string{"source", "result"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_predictions_lost_total",
			Help: "Predictions that were given up without an end, by cause.",
		}, []string{"source", "cause"}),
	}
	for name, a := range r.bySource {
		if a.source.Provider == nil {
			continue
		}
		for _, result := range []string{pollEnded, pollOpen, pollNotFound, pollLimited, pollFailed, pollRefused} {
			m.polls.WithLabelValues(name, result)
		}
		for _, cause := range []bridge.DeadCause{bridge.DeadNotFound, bridge.DeadUnfinished} {
			m.lost.WithLabelValues(name, string(cause))
		}
		m.paused = append(m.paused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "hookspan_predictions_paused_seconds",
			Help:        "For how long the provider is not polled, because it refuses polls or every poll fails.",
			ConstLabels: prometheus.Labels{"source": name},
		}, func() float64 { return max(0, time.Until(a.throttle.pausedUntil()).Seconds()) }))
	}
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return append([]prometheus.Collector{m.polls, m.lost}, m.paused...)
}
