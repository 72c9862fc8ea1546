package main

import (
	"fmt"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// clustered looks at the answers while three slowed servers do well, and when the leader
// of the stream is killed.
func clustered() scenario {
	const (
		rate  = 500
		conns = 128
		// lossTime is how long a load goes on after the leader was killed.
		lossTime = 5 * time.Second
	)
	return scenario{
		name: "cluster", title: "Three servers, every fsync 2 ms slower", missing: func(string) string { return rig.MissingSlower() },
		begin: func(b *bench, r *rig.Rig) [][]way {
			c := r.StartCluster(slowBy, false)
			bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(c.URLs()) + ", replicas: 3", Slow: slowBy})
			untilDirect(r, bridge)
			c.WaitWhole()
			like := lastStored(r, c.JetStream(), rig.EventsStream, rig.EventsPrefix+">")
			p := openPool(r, rate, b.steady())
			loss := rig.Window{Warm: b.warm, Measured: lossTime + time.Second}
			lossPool := openPool(r, rate, loss)
			return alone(func(r *rig.Rig) metrics {
				p.Renew(p.Count)
				bare := rig.Must(rig.OpenLoop(r.Context(), clients(c.JetStream(), like, p, conns), rate, p, b.steady()))
				p.Renew(p.Count)
				quiet := bridge.OpenLoop(conns, rate, p, b.steady())
				lossPool.Renew(lossPool.Count)
				slowest := inMs(rig.Percentile(loseLeader(r, c, bridge, conns, rate, lossPool, loss, loss.Warm+time.Second), 100))
				return metrics{
					"bare p50": inMs(rig.Percentile(bare, 50)), "bare p99": inMs(rig.Percentile(bare, 99)),
					"p50": inMs(rig.Percentile(quiet, 50)), "p99": inMs(rig.Percentile(quiet, 99)),
					"slowest": slowest, "added": slowest - inMs(rig.Percentile(quiet, 50)),
				}
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("Three NATS servers with `sync_interval: always`, each a process of its own, the stream at three replicas, and `hookspan serve` in front; each fsync of all four takes %v longer. "+
				"%d requests a second over %d connections, by the clock. **bare** is a plain client without a bridge, `PublishMsg` at the same rate into the same stream, just before. Then the server that leads the stream is ended with SIGKILL while they go on, and started again behind. Every request was answered 200; what the slowest answer took longer than the median before is what the loss added.",
				slowBy, rate, conns)
			s.head = []string{"", "ms"}
			s.row("bare, p50", decimal(d.of("bare p50")))
			s.row("bare, p99", decimal(d.of("bare p99")))
			s.row("p50", decimal(d.of("p50")))
			s.row("p99", decimal(d.of("p99")))
			s.row("the slowest answer when the leader is lost", integer(d.of("slowest")))
			s.under(25, d.of("p99"), ms, "three servers, every fsync 2 ms slower, 500 requests a second: p99 under 25 ms")
			added := d.of("added")
			s.under(1500, added, wholeMs, "losing the leader adds less than 1.5 s to any answer, in every round, and refuses none")
			s.bars[len(s.bars)-1].met = added.high < 1500 // any answer is one of the worst round too
		},
	}
}

// loseLeader kills the leader of the stream so long after the requests began, and starts
// it again when they are over. It returns how long the answers took.
func loseLeader(r *rig.Rig, c *rig.Cluster, bridge *rig.Bridge, conns, rate int, p *rig.Pool, w rig.Window, after time.Duration) []time.Duration {
	workers, hangUp := p.Senders(r.Context(), bridge.Webhooks, conns, rig.Safe)
	defer hangUp()
	leader := c.Leader()
	type answers struct {
		took []time.Duration
		err  error
	}
	done := make(chan answers, 1)
	go func() {
		took, err := rig.OpenLoop(r.Context(), workers, rate, p, w)
		done <- answers{took, err}
	}()
	r.Pause(after)
	leader.Kill()
	a := <-done
	if a.err != nil {
		rig.Check(bridge.Explain(a.err))
	}
	leader.Start()
	c.WaitWhole()
	untilDirect(r, bridge)
	return a.took
}
