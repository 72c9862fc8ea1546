package journal

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	metricRecords  = prometheus.NewDesc("hookspan_journal_records", "Records in the journal that are not in their stream yet.", nil, nil)
	metricBytes    = prometheus.NewDesc("hookspan_journal_bytes", "Bytes of the records in the journal that are not in their stream yet.", nil, nil)
	metricMaxBytes = prometheus.NewDesc("hookspan_journal_max_bytes", "Bytes that the journal holds at most, with what is set aside.", nil, nil)
	metricOldest   = prometheus.NewDesc("hookspan_journal_oldest_seconds", "How long the oldest record has been in the journal.", nil, nil)
	metricAside    = prometheus.NewDesc("hookspan_journal_set_aside", "Records that their stream will never take.", nil, nil)
	metricAsideB   = prometheus.NewDesc("hookspan_journal_set_aside_bytes", "Bytes of the records that their stream will never take.", nil, nil)
)

type metrics struct {
	seconds prometheus.Histogram
	records prometheus.Histogram
}

func newMetrics() *metrics {
	return &metrics{
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hookspan_journal_fsync_seconds", Help: "How long a write with its fsync took.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16), // 0.1 ms to 3.3 s
		}),
		records: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "hookspan_journal_fsync_records", Help: "Records that were written with one fsync.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 11), // 1 to 1,024
		}),
	}
}

func (m *metrics) observe(records int, took time.Duration) {
	m.records.Observe(float64(records))
	m.seconds.Observe(took.Seconds())
}

// Collectors returns the journal's metrics. They read no disk.
func (j *Journal) Collectors() []prometheus.Collector {
	return []prometheus.Collector{collector{j}, j.metrics.seconds, j.metrics.records}
}

type collector struct{ j *Journal }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{metricRecords, metricBytes, metricMaxBytes, metricOldest, metricAside, metricAsideB} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.j.State()
	age := time.Duration(0)
	if !s.Oldest.IsZero() {
		age = max(0, time.Since(s.Oldest))
	}
	for desc, value := range map[*prometheus.Desc]float64{
		metricRecords: float64(s.Records), metricBytes: float64(s.Bytes), metricMaxBytes: float64(s.MaxBytes),
		metricOldest: age.Seconds(), metricAside: float64(s.SetAside), metricAsideB: float64(s.SetAsideBytes),
	} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
}
