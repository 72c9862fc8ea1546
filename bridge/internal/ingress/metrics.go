package ingress

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// unknownSource is the label of sources that are not configured: a sender's text never
// becomes a label.
const unknownSource = "unknown"

type metrics struct {
	deliveries *prometheus.CounterVec
	answers    *prometheus.HistogramVec
	ended      *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_deliveries_total",
			Help: "Deliveries answered, by what became of them: stored, duplicate, spooled, quarantined, or the cause of the refusal.",
		}, []string{"source", "result"}),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "hookspan_answer_seconds",
			Help:    "Time from the headers of a delivery to its answer, by the class of the status.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"class"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_connections_ended_total",
			Help: "Connections ended by a limit: per_address and no_room were refused, gave_way had waited longest when another one came, header had the oldest unfinished header when those took too much.",
		}, []string{"reason"}),
	}
	for _, reason := range []string{endedPerAddress, endedNoRoom, endedGaveWay, endedHeader} {
		m.ended.WithLabelValues(reason) // exports a zero before the first one
	}
	return m
}

func (m *metrics) answered(line *access, status int, took time.Duration) {
	result := line.result
	if result == "" {
		result = line.cause
	}
	source := line.source
	if source == "" {
		source = unknownSource
	}
	m.deliveries.WithLabelValues(source, result).Inc()
	m.answers.WithLabelValues(class(status)).Observe(took.Seconds())
}

func class(status int) string {
	switch {
	case status >= http.StatusInternalServerError:
		return "5xx"
	case status >= http.StatusBadRequest:
		return "4xx"
	}
	return "2xx"
}

// Working is how many deliveries are worked on now.
func (s *Server) Working() int {
	_, working, _ := s.intake.counts()
	return working
}

// Collectors are the metrics of this server, for one registry. Labels are names of
// configured sources and words of fixed lists.
func (s *Server) Collectors() []prometheus.Collector {
	gauge := func(name, help string, labels prometheus.Labels, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value)
	}
	const inFlight = "Deliveries whose body is arriving, and those that are worked on; each is bounded by ingress.max_in_flight."
	return []prometheus.Collector{
		s.metrics.deliveries,
		s.metrics.answers,
		s.metrics.ended,
		gauge("hookspan_in_flight_requests", inFlight, prometheus.Labels{"stage": "arriving"}, func() float64 {
			arriving, _, _ := s.intake.counts()
			return float64(arriving)
		}),
		gauge("hookspan_in_flight_requests", inFlight, prometheus.Labels{"stage": "working"}, func() float64 {
			return float64(s.Working())
		}),
		gauge("hookspan_in_flight_bytes", "Bytes of bodies that are reserved.", nil, func() float64 {
			_, _, bytes := s.intake.counts()
			return float64(bytes)
		}),
		gauge("hookspan_header_bytes", "Bytes that unfinished headers take, each beyond its first 4 KiB.", nil, func() float64 { return float64(s.listener.headers.Used()) }),
		gauge("hookspan_connections", "Open connections of senders.", nil, s.listener.count),
	}
}
