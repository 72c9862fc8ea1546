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
	bySource    []prometheus.Collector
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
	gauge := func(source, name, help string, value func() float64) {
		m.bySource = append(m.bySource, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: name, Help: help, ConstLabels: prometheus.Labels{"source": source},
		}, value))
	}
	for name, a := range r.bySource {
		gauge(name, "hookspan_source_last_webhook_timestamp_seconds", "When the last webhook of the source came that ended a prediction, as this process has seen it; 0: none yet.", func() float64 {
			last, _ := a.silence.since()
			return max(0, float64(last.UnixMilli())/1000)
		})
		gauge(name, "hookspan_source_polled_since_webhook", "Predictions whose end was found by polling since the last webhook of the source: many of them mean that its webhooks have stopped.", func() float64 {
			_, polled := a.silence.since()
			return float64(polled)
		})
		if a.source.Provider == nil {
			continue
		}
		for _, result := range []string{pollEnded, pollOpen, pollNotFound, pollLimited, pollFailed, pollRefused} {
			m.polls.WithLabelValues(name, result)
		}
		for _, cause := range []bridge.DeadCause{bridge.DeadNotFound, bridge.DeadUnfinished} {
			m.lost.WithLabelValues(name, string(cause))
		}
		gauge(name, "hookspan_predictions_paused_seconds", "For how long the provider is not polled, because it refuses polls or every poll fails.", func() float64 {
			return max(0, time.Until(a.throttle.pausedUntil()).Seconds())
		})
	}
	return m
}

func (m *metrics) collectors() []prometheus.Collector {
	return append([]prometheus.Collector{m.polls, m.lost}, m.bySource...)
}
