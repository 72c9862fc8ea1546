package app

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	viewBehind     = prometheus.NewDesc("hookspan_view_behind", "Messages of a stream that are not in the view yet, as of a moment ago.", []string{"stream"}, nil)
	viewCurrent    = prometheus.NewDesc("hookspan_view_up_to_date", "1 while the view has every event of a moment ago.", nil, nil)
	viewRebuilding = prometheus.NewDesc("hookspan_view_rebuilding", "1 while the view is being made anew.", nil, nil)

	outputsUnarchived = prometheus.NewDesc("hookspan_outputs_unarchived_predictions", "Predictions with outputs that no archive has and that the provider will delete.", nil, nil)
	outputsLeft       = prometheus.NewDesc("hookspan_outputs_seconds_left_min", "How long the provider still keeps the first of these outputs; +Inf when there is none.", nil, nil)
	outputsExpired    = prometheus.NewDesc("hookspan_outputs_expired_predictions", "Predictions in the view with outputs that the provider has deleted and that no archive has.", nil, nil)
	quarantineOldest  = prometheus.NewDesc("hookspan_quarantine_oldest_seconds", "For how long the oldest delivery has been in the quarantine; 0 when none is there.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (w *viewWatch) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{viewBehind, viewCurrent, viewRebuilding, outputsUnarchived, outputsLeft, outputsExpired, quarantineOldest} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. It shows what the last look found, and asks neither
// the view's file nor NATS.
func (w *viewWatch) Collect(out chan<- prometheus.Metric) {
	st := w.view.Status()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	yes := map[bool]float64{true: 1}
	gauge(viewCurrent, yes[st.UpToDate])
	gauge(viewRebuilding, yes[st.Rebuilding])
	for name, s := range st.Streams {
		gauge(viewBehind, float64(s.Behind), name)
	}
	waiting := w.waiting.Load()
	if waiting == nil {
		return
	}
	gauge(outputsUnarchived, float64(waiting.Unarchived))
	gauge(outputsExpired, float64(waiting.Expired))
	left, oldest := math.Inf(1), 0.0
	if !waiting.NextDeleted.IsZero() {
		left = max(0, time.Until(waiting.NextDeleted).Seconds())
	}
	if !waiting.Quarantined.IsZero() {
		oldest = max(0, time.Since(waiting.Quarantined).Seconds())
	}
	gauge(outputsLeft, left)
	gauge(quarantineOldest, oldest)
}
