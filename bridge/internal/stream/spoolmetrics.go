package stream

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scrapeTimeout bounds how long a scrape waits for the spool's server.
const scrapeTimeout = 2 * time.Second

var (
	spoolMessages = prometheus.NewDesc("hookspan_spool_messages", "Messages in the spool, which are not in NATS yet.", nil, nil)
	spoolStuck    = prometheus.NewDesc("hookspan_spool_stuck_messages", "Messages in the spool that NATS did not take for good.", nil, nil)
	spoolBytes    = prometheus.NewDesc("hookspan_spool_bytes", "Bytes in the spool.", nil, nil)
	spoolLimit    = prometheus.NewDesc("hookspan_spool_max_bytes", "Bytes that the spool holds at most.", nil, nil)
	spoolAge      = prometheus.NewDesc("hookspan_spool_oldest_seconds", "How long the oldest message has been in the spool.", nil, nil)
	spoolDrained  = prometheus.NewDesc("hookspan_spool_drained_total", "Messages that were moved from the spool to NATS.", nil, nil)
	natsAvailable = prometheus.NewDesc("hookspan_nats_available", "Whether the external NATS takes messages: 1, or 0 while they go into the spool.", nil, nil)
)

// Describe implements prometheus.Collector.
func (r *Relay) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{spoolMessages, spoolStuck, spoolBytes, spoolLimit, spoolAge, spoolDrained, natsAvailable} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. It asks the spool each time; a late answer is an
// error of that scrape.
func (r *Relay) Collect(ch chan<- prometheus.Metric) {
	available := 0.0
	if r.Available() {
		available = 1
	}
	ch <- prometheus.MustNewConstMetric(natsAvailable, prometheus.GaugeValue, available)
	ch <- prometheus.MustNewConstMetric(spoolDrained, prometheus.CounterValue, float64(r.drainer.Drained()))
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	state, err := r.spool.State(ctx)
	if err != nil {
		ch <- prometheus.NewInvalidMetric(spoolMessages, err)
		return
	}
	age := time.Duration(0)
	if !state.Oldest.IsZero() {
		age = time.Since(state.Oldest)
	}
	for desc, value := range map[*prometheus.Desc]float64{
		spoolMessages: float64(state.Messages), spoolStuck: float64(state.Stuck), spoolBytes: float64(state.Bytes),
		spoolLimit: float64(state.MaxBytes), spoolAge: age.Seconds(),
	} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
}
