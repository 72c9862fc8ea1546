package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func external() scenario {
	const conns = 256
	return scenario{
		name: "external", title: "External NATS that syncs always",
		begin: func(b *bench, r *rig.Rig) [][]way {
			server := r.StartNATS(rig.NATSConfig{})
			bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(server.URL)})
			untilDirect(r, bridge)
			js := rig.Must(jetstream.New(server.Connect()))
			like := lastStored(r, js, rig.EventsStream, rig.EventsPrefix+">")
			p := closedPool(r, b.window())
			return [][]way{{
				{"whole", func(*rig.Rig) metrics {
					p.Renew(p.Count)
					return sampleMetrics(bridge.Load(conns, p, b.window()))
				}},
				{"single", func(r *rig.Rig) metrics {
					p.Renew(p.Count)
					workers := clients(js, like, p, conns)
					runtime.GC()
					return sampleMetrics(rig.Must(rig.Load(r.Context(), workers, p, b.window())))
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.rateRows(d, "whole", "single")
			s.atLeast(4, d.ratio("whole events/s", "single events/s"), times, "external NATS that syncs always, 256 connections: at least 4 times single publishes")
		},
	}
}

func clustered() scenario {
	const (
		rate     = 500
		conns    = 128
		lossTime = 5 * time.Second // how long a load goes on after the leader was killed
	)
	return scenario{
		name: "cluster", title: "Three servers, every fsync 2 ms slower", missing: func(string) string { return rig.MissingTracer() },
		begin: func(b *bench, r *rig.Rig) [][]way {
			c := r.StartCluster(slowBy, false)
			bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(c.URLs()) + ", replicas: 3", Slow: slowBy})
			untilDirect(r, bridge)
			c.WaitWhole()
			like := lastStored(r, c.JS, rig.EventsStream, rig.EventsPrefix+">")
			p := openPool(r, rate, b.steady())
			loss := rig.Window{Warm: b.warm, Measured: lossTime + time.Second}
			lossPool := openPool(r, rate, loss)
			return alone(func(r *rig.Rig) metrics {
				p.Renew(p.Count)
				bare := rig.Must(rig.OpenLoop(r.Context(), clients(c.JS, like, p, conns), rate, p, b.steady()))
				p.Renew(p.Count)
				quiet := bridge.OpenLoop(conns, rate, p, b.steady())
				lossPool.Renew(lossPool.Count)
				// The leader is killed a second after the warm-up, and starts again behind the load.
				leader := c.Leader()
				kill := time.AfterFunc(loss.Warm+time.Second, leader.Kill)
				defer kill.Stop()
				lossy := bridge.OpenLoop(conns, rate, lossPool, loss, rig.Safe...)
				leader.Kill() // returns when it has ended
				leader.Start()
				c.WaitWhole()
				untilDirect(r, bridge)
				slowest := inMs(rig.Percentile(lossy, 100))
				m := metrics{"slowest": slowest, "added": slowest - inMs(rig.Percentile(quiet, 50))}
				m.add("bare", bare)
				m.add("bridge", quiet)
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{"", "ms"}
			s.row("bare, p50", decimal(d.of("bare p50")))
			s.row("bare, p99", decimal(d.of("bare p99")))
			s.row("p50", decimal(d.of("bridge p50")))
			s.row("p99", decimal(d.of("bridge p99")))
			s.row("the slowest answer when the leader is lost", integer(d.of("slowest")))
			s.under(25, d.of("bridge p99"), ms, "three servers, every fsync 2 ms slower, 500 requests a second: p99 under 25 ms")
			added := d.of("added")
			s.under(1500, added, wholeMs, "losing the leader adds less than 1.5 s to any answer, in every round, and refuses none")
			s.bars[len(s.bars)-1].met = added.high < 1500 // any answer is one of the worst round too
		},
	}
}

// replicated compares what the two ways to answer cost with three servers on ordinary disks.
func replicated() scenario {
	const (
		rate  = 500
		conns = 128
	)
	return scenario{
		name: "replicated", title: "Three servers that sync always",
		begin: func(b *bench, r *rig.Rig) [][]way {
			c := r.StartCluster(0, false)
			start := func(r *rig.Rig, ingress string) *rig.Bridge {
				bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(c.URLs()) + ", replicas: 3", Ingress: ingress})
				untilDirect(r, bridge)
				c.WaitWhole()
				return bridge
			}
			var like stored
			r.Within("made", func(r *rig.Rig) {
				start(r, "")
				like = lastStored(r, c.JS, rig.EventsStream, rig.EventsPrefix+">")
			})
			p := openPool(r, rate, b.steady())
			over := func(load func(r *rig.Rig) []time.Duration) func(*rig.Rig) metrics {
				return func(r *rig.Rig) metrics {
					p.Renew(p.Count)
					took := load(r)
					return metrics{"p50": inMs(rig.Percentile(took, 50)), "p99": inMs(rig.Percentile(took, 99))}
				}
			}
			through := func(ingress string) func(*rig.Rig) metrics {
				return over(func(r *rig.Rig) []time.Duration {
					return start(r, ingress).OpenLoop(conns, rate, p, b.steady(), rig.Safe...)
				})
			}
			return [][]way{{
				{"bare", over(func(r *rig.Rig) []time.Duration {
					return rig.Must(rig.OpenLoop(r.Context(), clients(c.JS, like, p, conns), rate, p, b.steady()))
				})},
				{"quorum", through("")},
				{"local", through("ack: local")},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{"answers wait for", "p50, ms", "p99, ms", "p99 to a plain client's"}
			for _, w := range []string{"bare", "quorum", "local"} {
				s.row(w, decimal(d.of(w+" p50")), decimal(d.of(w+" p99")), times(d.ratio(w+" p99", "bare p99")))
			}
			s.under(1.3, d.ratio("quorum p99", "bare p99"), times, "three servers that sync always, 500 requests a second: p99 under 1.3 times that of a plain client")
			s.under(3, d.of("local p99"), ms, "three servers that sync always, 500 requests a second, ack local: p99 under 3 ms")
		},
	}
}

func draining() scenario {
	const events = 20_000
	syncs := []string{"2m", "always"} // sync_interval of the server: the default, and before each acknowledgement
	return scenario{
		name: "drain", title: "Draining the journal",
		begin: func(_ *bench, r *rig.Rig) (groups [][]way) {
			p := r.NewPool(events, failedWebhook())
			for _, sync := range syncs {
				groups = append(groups, []way{{sync, func(r *rig.Rig) metrics {
					server := r.StartNATS(rig.NATSConfig{Sync: sync})
					bridge := startBridge(r, rig.BridgeConfig{NATS: rig.ExternalNATS(server.URL)})
					untilDirect(r, bridge)
					js := rig.Must(jetstream.New(server.Connect()))
					like := lastStored(r, js, rig.EventsStream, rig.EventsPrefix+">")
					p.Renew(events)
					batches := batchRate(r, js, like.all(p))
					return metrics{"journal": drainRate(r, server, bridge, js, p), "batches": batches}
				}}})
			}
			return groups
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{" `sync_interval` there", "journal, events/s", "batches, events/s", "journal to batches"}
			for _, sync := range syncs {
				s.row(sync, integer(d.of(sync+" journal")), integer(d.of(sync+" batches")), percent(d.ratio(sync+" journal", sync+" batches")))
			}
			s.atLeast(10_000, d.of("2m journal"), perSecond, "draining the journal into a stream that does not sync each message: at least 10,000 events a second")
			s.atLeast(0.8, d.ratio("always journal", "always batches"), percent, "draining the journal into a stream that syncs: at least 80 % of what batches reach there")
		},
	}
}

// drainRate returns how many events of the journal a second go to a server that is there again.
func drainRate(r *rig.Rig, server *rig.NATS, bridge *rig.Bridge, js jetstream.JetStream, p *rig.Pool) float64 {
	before := rig.StreamInfo(r.Context(), js).State.LastSeq
	rig.Must(server.Stop())
	p.Renew(p.Count)
	bridge.Load(256, p, untilEmpty, rig.Safe...)
	server.Start()
	var from, last uint64
	var begin time.Time
	rig.Check(r.Until("the journal is empty", patience, 2*time.Millisecond, func(ctx context.Context) bool {
		stream, err := js.Stream(ctx, rig.EventsStream)
		if err != nil {
			return false // the server is not there again
		}
		last = stream.CachedInfo().State.LastSeq - before
		if begin.IsZero() && last >= uint64(p.Count)/5 {
			from, begin = last, time.Now()
		}
		return last >= uint64(p.Count)
	}))
	return float64(last-from) / time.Since(begin).Seconds()
}

func batchRate(r *rig.Rig, js jetstream.JetStream, msgs []*nats.Msg) float64 {
	const size = 1000 // the most that the server takes
	stream := rig.Must(js.Stream(r.Context(), rig.EventsStream))
	config := stream.CachedInfo().Config
	config.AllowAtomicPublish = true
	rig.Must(js.UpdateStream(r.Context(), config))
	begin := time.Now()
	for from := 0; from < len(msgs); from += size {
		rig.Check(commit(r.Context(), js.Conn(), msgs[from:min(from+size, len(msgs))]))
	}
	return float64(len(msgs)) / time.Since(begin).Seconds()
}

// commit stores the messages as one batch, all or none.
func commit(ctx context.Context, nc *nats.Conn, msgs []*nats.Msg) error {
	id := nuid.Next()
	for i, m := range msgs {
		m.Header.Set("Nats-Batch-Id", id)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i < len(msgs)-1 {
			if err := nc.PublishMsg(m); err != nil {
				return fmt.Errorf("publishing a batch: %w", err)
			}
			continue
		}
		m.Header.Set("Nats-Batch-Commit", "1")
		answer, err := nc.RequestMsgWithContext(ctx, m)
		if err != nil {
			return fmt.Errorf("committing a batch: %w", err)
		}
		var ack struct{ Count int }
		if err := json.Unmarshal(answer.Data, &ack); err != nil || ack.Count != len(msgs) {
			return errors.Join(fmt.Errorf("a batch was answered %q", answer.Data), err)
		}
	}
	return nil
}
