package forward

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds *prometheus.HistogramVec
	state   prometheus.Collector
}

func newMetrics(consumer string, b *breaker) metrics {
	labels := prometheus.Labels{"consumer": consumer}
	return metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:        "hookspan_forward_request_seconds",
			Help:        "From sending an event to its answer, by the class of the status; none is no answer.",
			ConstLabels: labels,
			Buckets:     []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"class"}),
		state: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "hookspan_forward_breaker_state",
			Help:        "0: events are sent to the target. 1: it failed, and one event is tried. 2: it failed and is left alone.",
			ConstLabels: labels,
		}, func() float64 { return float64(b.current()) }),
	}
}

// observe counts a request by its status, 0 for no answer.
func (m *metrics) observe(status int, took time.Duration) {
	class := "none"
	if status > 0 {
		class = strconv.Itoa(status/100) + "xx" // a status has three digits
	}
	m.seconds.WithLabelValues(class).Observe(took.Seconds())
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.seconds, m.state}
}
