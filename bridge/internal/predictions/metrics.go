package predictions

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
)

// leaderMetrics counts a leader's work and shows its leadership.
type leaderMetrics struct {
	leader *Leader
	ended  *prometheus.CounterVec

	open, overdue, leads *prometheus.Desc
}

func newLeaderMetrics(l *Leader) *leaderMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("hookspan_predictions_"+name, help, labels, nil)
	}
	return &leaderMetrics{
		leader: l,
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookspan_predictions_ended_total",
			Help: "Predictions that have their end, by how it became known and whether anybody had announced them.",
		}, []string{"source", "origin", "announced"}),
		open:    desc("open", "Predictions whose end is waited for. Only the process that leads the predictions has them.", "source"),
		overdue: desc("overdue", "Predictions that are due to be polled. Only the process that leads the predictions has them.", "source"),
		leads:   desc("leader", "1 while this process leads the predictions."),
	}
}

// Collectors are the metrics of the leader and the poller.
func (l *Leader) Collectors() []prometheus.Collector {
	return append(l.poller.Collectors(), l.metrics, l.metrics.ended)
}

// Describe implements [prometheus.Collector].
func (m *leaderMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.open, m.overdue, m.leads} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. It shows what was counted last.
func (m *leaderMetrics) Collect(out chan<- prometheus.Metric) {
	if m.leader.current.Load() == nil {
		out <- prometheus.MustNewConstMetric(m.leads, prometheus.GaugeValue, 0)
		return
	}
	out <- prometheus.MustNewConstMetric(m.leads, prometheus.GaugeValue, 1)
	all := m.leader.counted.Load()
	if all == nil {
		return
	}
	type counts struct{ open, overdue int }
	sum := map[string]counts{}
	for name := range m.leader.cfg.Sources {
		sum[name] = counts{}
	}
	for name, c := range *all {
		s := sum[m.source(name)]
		sum[m.source(name)] = counts{s.open + c.Open, s.overdue + c.Overdue}
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
	if _, ok := m.leader.cfg.Sources[name]; ok {
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
