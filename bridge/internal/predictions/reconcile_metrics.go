package predictions

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
)

// What came of a question.
const (
	pollEnded    = "ended"     // the prediction has its end
	pollOpen     = "open"      // it has none yet
	pollNotFound = "not_found" // the provider does not know it
	pollLimited  = "limited"   // the provider does not want to be asked now
	pollFailed   = "failed"    // there was no answer
	pollRefused  = "refused"   // the answer cannot be used
)

type reconcileMetrics struct {
	polls, lost *prometheus.CounterVec
	paused      []prometheus.Collector
}

func newReconcileMetrics(r *reconciler) *reconcileMetrics {
	m := &reconcileMetrics{
		polls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_predictions_polls_total",
			Help: "Questions for a prediction that a provider was asked, by what came of them.",
		}, []string{"source", "result"}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_predictions_lost_total",
			Help: "Predictions that were given up without an end, by cause.",
		}, []string{"source", "cause"}),
	}
	for name, a := range r.asked {
		if a.source.Asker == nil {
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
			Help:        "For how long the provider will not be asked, because it does not want to be or every answer fails.",
			ConstLabels: prometheus.Labels{"source": name},
		}, func() float64 { return max(0, time.Until(a.throttle.pausedUntil()).Seconds()) }))
	}
	return m
}

func (m *reconcileMetrics) collectors() []prometheus.Collector {
	return append([]prometheus.Collector{m.polls, m.lost}, m.paused...)
}
