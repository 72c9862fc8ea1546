package consumers

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
)

type metrics struct {
	attempts    *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	seconds     prometheus.Histogram
	inFlight    prometheus.Gauge
	waiting     prometheus.GaugeFunc
	untold      prometheus.Counter
}

func newMetrics(consumer string, waits *waits) *metrics {
	labels := prometheus.Labels{"consumer": consumer}
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_consumer_attempts_total", ConstLabels: labels,
			Help: "Calls of the handler in this process, by their verdict.",
		}, []string{"verdict"}),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_consumer_dead_letters_total", ConstLabels: labels,
			Help: "Dead letters that this process made, by their cause.",
		}, []string{"cause"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hookspan_consumer_handler_seconds", ConstLabels: labels,
			Help:    "How long the handler took, whatever its verdict.",
			Buckets: []float64{.001, .005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "hookspan_consumer_in_flight_events", ConstLabels: labels,
			Help: "Events that the handler has now, in this process.",
		}),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "hookspan_consumer_waiting_events", ConstLabels: labels,
			Help: "Events that this process lets wait with the durable for their next attempt.",
		}, func() float64 { return float64(waits.count.Load()) }),
		untold: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookspan_consumer_attempts_untold_total", ConstLabels: labels,
			Help: "Attempts of this process that no view was told of.",
		}),
	}
	// Every series exists from the start, with the value zero.
	for a := ActionDone; a <= ActionLeave; a++ {
		m.attempts.WithLabelValues(a.String())
	}
	for _, cause := range []bridge.DeadCause{
		bridge.DeadUndecodable, bridge.DeadRefused, bridge.DeadPermanent, bridge.DeadExhausted, bridge.DeadConflict, bridge.DeadPoison,
	} {
		m.deadLetters.WithLabelValues(string(cause))
	}
	return m
}

// Collectors returns the metrics of the consumer in this process, to be registered once:
//
//	hookspan_consumer_attempts_total{verdict}     calls of the handler: done, retry, dead,
//	                                              snoozed, given_back, left
//	hookspan_consumer_attempts_untold_total       attempts that no view was told of
//	hookspan_consumer_handler_seconds             histogram of how long the handler took
//	hookspan_consumer_in_flight_events            events that the handler has now
//	hookspan_consumer_waiting_events              events that wait with the durable for
//	                                              their next attempt
//	hookspan_consumer_dead_letters_total{cause}   dead letters that were made
//
// Each has the name of the consumer as label consumer too, so that the consumers of one
// process can share a registry.
func (c *Consumer) Collectors() []prometheus.Collector {
	m := c.metrics
	return []prometheus.Collector{m.attempts, m.seconds, m.inFlight, m.waiting, m.deadLetters, m.untold}
}
