package main

import (
	"syscall"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func scraping() scenario {
	const events = 5_000
	states := []struct{ name, title string }{{"there", "NATS answers"}, {"hanging", "NATS hangs"}, {"gone", "NATS is gone"}}
	return scenario{
		name: "scrape", title: "Scraping the metrics", rounds: viewRounds,
		begin: func(_ *bench, r *rig.Rig) [][]way {
			p := r.NewPool(events, failedWebhook())
			nats := r.StartNATS(rig.NATSConfig{})
			bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(nats.URL), More: readers(listReaders)})
			bridge.Load(64, p, untilEmpty, rig.Safe...)
			untilFolded(r, bridge, rig.EventsStream, events)
			untilMetric(r, bridge, `hookspan_consumer_pending_events{consumer="`+reader(0)+`"}`, events)
			return alone(func(r *rig.Rig) metrics {
				untilCurrent(r, bridge)
				m := metrics{}
				m.add("there", scrape(r, bridge))
				rig.Check(nats.Signal(syscall.SIGSTOP))
				r.Pause(untilNoticed)
				m.add("hanging", scrape(r, bridge))
				nats.Kill()
				r.Pause(untilNoticed)
				m.add("gone", scrape(r, bridge))
				nats.Start()
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{" ", "p50 ms", "p99 ms"}
			for _, state := range states {
				s.row(state.title, decimal(d.of(state.name+" p50")), decimal(d.of(state.name+" p99")))
			}
			s.under(inScrape, d.of("there p99"), ms, "a scrape of the metrics: p99 under 5 ms")
			s.under(inScrape, d.of("hanging p99"), ms, "the same while NATS hangs")
			s.under(inScrape, d.of("gone p99"), ms, "the same while NATS is gone")
		},
	}
}

// untilNoticed is how long a bridge has to run into a NATS that does not answer.
const untilNoticed = time.Second
