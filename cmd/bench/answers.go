package main

import (
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// bursting has a thousand connections send at once.
func bursting() scenario {
	const requests = 1000
	return scenario{
		name: "burst", title: "A burst",
		begin: func(_ *bench, r *rig.Rig) [][]way {
			p := r.NewPool(requests, failedWebhook())
			bridge := startBridge(r, rig.BridgeConfig{})
			return alone(func(r *rig.Rig) metrics {
				r.Pause(time.Second)
				p.Renew(requests)
				took := burst(r, bridge, p)
				return metrics{"half": inMs(rig.Percentile(took, 50)), "last": inMs(rig.Percentile(took, 100))}
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("%d connections that are open already send one webhook each at the same moment, to `hookspan serve` in a process of its own that had nothing to do before.", requests)
			s.head = []string{"", "ms"}
			s.row("answered half of them after", integer(d.of("half")))
			s.row("answered the last after", integer(d.of("last")))
			s.under(1000, d.of("last"), wholeMs, "a burst of 1,000 requests is acknowledged within 1 s")
		},
	}
}

// burst sends all of the pool at once and returns when each request was answered.
func burst(r *rig.Rig, bridge *rig.Bridge, p *rig.Pool) []time.Duration {
	workers, hangUp := p.Senders(r.Context(), bridge.Webhooks, p.Count, rig.Stored)
	defer hangUp()
	took := make([]time.Duration, len(workers))
	begin, now := time.Time{}, make(chan struct{})
	var group errgroup.Group
	for i, work := range workers {
		group.Go(func() error {
			<-now
			err := work(r.Context(), i)
			took[i] = time.Since(begin)
			return err
		})
	}
	begin = time.Now()
	close(now)
	if err := group.Wait(); err != nil {
		rig.Check(bridge.Explain(err))
	}
	return took
}

// answering looks at the answers to a steady stream of requests.
func answering() scenario {
	const (
		rate  = 1000
		conns = 128
	)
	return scenario{
		name: "latency", title: "Answers at a steady rate",
		begin: func(b *bench, r *rig.Rig) [][]way {
			p := openPool(r, rate, b.steady())
			bridge := startBridge(r, rig.BridgeConfig{})
			return alone(func(*rig.Rig) metrics {
				p.Renew(p.Count)
				took := bridge.OpenLoop(conns, rate, p, b.steady())
				m := metrics{}
				for name, point := range map[string]float64{"p50": 50, "p99": 99, "p99.9": 99.9, "the slowest": 100} {
					m[name] = inMs(rig.Percentile(took, point))
				}
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("%d requests a second over %d connections, sent by the clock and not when the one before was answered; the time of an answer counts from when its request was due. "+
				"`hookspan serve` in a process of its own, with default settings.", rate, conns)
			s.head = []string{"", "ms"}
			for _, name := range []string{"p50", "p99", "p99.9", "the slowest"} {
				s.row(name, decimal(d.of(name)))
			}
			s.under(5, d.of("p99"), ms, "1,000 requests a second: p99 under 5 ms")
			s.under(25, d.of("p99.9"), ms, "1,000 requests a second: p99.9 under 25 ms")
		},
	}
}
