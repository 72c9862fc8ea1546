package stream

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
)

type metrics struct {
	publish *prometheus.HistogramVec
	batch   prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		publish: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "hookspan_publish_seconds",
			Help:    "Time until a stream had acknowledged a message, or refused it, or did not answer.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 17), // 0.1 ms to 6.6 s
		}, []string{"stream", "result"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hookspan_publish_batch_messages",
			Help:    "Messages that were sent to a stream to be committed together, with one sync. Those that were published alone are not counted.",
			Buckets: prometheus.ExponentialBuckets(2, 2, 10), // 2 to 1024
		}),
	}
}

func (m *metrics) observe(stream string, start time.Time, receipt bridge.Receipt, err error) {
	m.publish.WithLabelValues(stream, resultLabel(receipt, err)).Observe(time.Since(start).Seconds())
}

func resultLabel(receipt bridge.Receipt, err error) string {
	switch {
	case err == nil:
		return string(receipt.Result)
	case errors.Is(err, bridge.ErrFull):
		return "full"
	case errors.Is(err, bridge.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, bridge.ErrTooLarge):
		return "too_large"
	default:
		return "unknown"
	}
}
