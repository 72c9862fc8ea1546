package jobs

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// metrics count the jobs of this process. The kinds are those that it can do.
type metrics struct {
	running        *prometheus.GaugeVec
	ended, entries *prometheus.CounterVec
}

func newMetrics(kinds map[string]Kind) metrics {
	m := metrics{
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "hookspan_jobs_running", Help: "Jobs that this process works on."}, []string{"kind"}),
		ended:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookspan_jobs_ended_total", Help: "Jobs that have ended in this process."}, []string{"kind", "state"}),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hookspan_job_entries_total", Help: "Entries that jobs in this process have worked on, whatever became of them."}, []string{"kind"}),
	}
	for kind := range kinds { // so that each is there before the first
		m.running.WithLabelValues(kind)
		m.entries.WithLabelValues(kind)
		for _, state := range []adminapi.JobState{adminapi.JobDone, adminapi.JobCancelled, adminapi.JobFailed} {
			m.ended.WithLabelValues(kind, string(state))
		}
	}
	return m
}

func (m metrics) worked(kind string, outcomes map[string]int) {
	n := 0
	for _, count := range outcomes {
		n += count
	}
	m.entries.WithLabelValues(kind).Add(float64(n))
}

// Collectors returns the metrics: hookspan_jobs_running and hookspan_job_entries_total by kind,
// and hookspan_jobs_ended_total by kind and state.
func (j *Jobs) Collectors() []prometheus.Collector {
	return []prometheus.Collector{j.metrics.running, j.metrics.ended, j.metrics.entries}
}
