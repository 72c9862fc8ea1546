package predictions

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
)

// leaderMetrics counts a leader's work and shows its leadership.
type leaderMetrics struct {
	sources    map[string]poller.SourceConfig
	leadership atomic.Pointer[leadership] // nil: another process leads
	ended      *prometheus.CounterVec

	open, overdue, behind, leader *prometheus.Desc
}

func newLeaderMetrics(sources map[string]poller.SourceConfig) *leaderMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("hookspan_predictions_"+name, help, labels, nil)
	}
	return &leaderMetrics{
		sources: sources,
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_predictions_ended_total",
			Help: "Predictions that have their end, by how it became known and whether anybody had announced them.",
		}, []string{"source", "origin", "announced"}),
		open:    desc("open", "Predictions whose end is waited for. Only the process that leads the predictions has them.", "source"),
		overdue: desc("overdue", "Predictions that are due to be polled. Only the process that leads the predictions has them.", "source"),
		behind:  desc("behind", "Events that are not in the prediction store yet, as of a few seconds ago. Only the process that leads it has them."),
		leader:  desc("leader", "1 while this process leads the predictions."),
	}
}

// Collectors are the metrics of the prediction store and the poller.
func (l *Leader) Collectors() []prometheus.Collector {
	return append(l.poller.Collectors(), l.metrics, l.metrics.ended)
}

// Describe implements [prometheus.Collector].
func (m *leaderMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.open, m.overdue, m.behind, m.leader} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *leaderMetrics) Collect(out chan<- prometheus.Metric) {
	t := m.leadership.Load()
	if t == nil {
		out <- prometheus.MustNewConstMetric(m.leader, prometheus.GaugeValue, 0)
		return
	}
	out <- prometheus.MustNewConstMetric(m.leader, prometheus.GaugeValue, 1)
	out <- prometheus.MustNewConstMetric(m.behind, prometheus.GaugeValue, float64(t.behind.Load()))
	type counts struct{ open, overdue int }
	sum := map[string]counts{}
	for name, list := range t.Queues() {
		open, overdue, _ := list.Counts(time.Now())
		c := sum[m.source(name)]
		sum[m.source(name)] = counts{c.open + open, c.overdue + overdue}
	}
	for name, c := range sum {
		out <- prometheus.MustNewConstMetric(m.open, prometheus.GaugeValue, float64(c.open), name)
		out <- prometheus.MustNewConstMetric(m.overdue, prometheus.GaugeValue, float64(c.overdue), name)
	}
}

// other is the label of any value outside a fixed list.
const other = "other"

// source returns the label of a source: events can name any.
func (m *leaderMetrics) source(name string) string {
	if _, ok := m.sources[name]; ok {
		return name
	}
	return other
}

func (m *leaderMetrics) end(s *bridge.PredictionState) {
	origin := s.Origin
	if origin != bridge.OriginWebhook && origin != bridge.OriginPoll {
		origin = other
	}
	m.ended.WithLabelValues(m.source(s.Source), origin, strconv.FormatBool(s.Announced != nil)).Inc()
}
