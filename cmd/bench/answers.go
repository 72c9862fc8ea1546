package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

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
				// At a rate of one in a nanosecond each connection has one to send, at once.
				took := bridge.OpenLoop(requests, int(time.Second), p, rig.Window{Measured: requests})
				return metrics{"half": inMs(rig.Percentile(took, 50)), "last": inMs(rig.Percentile(took, 100))}
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{"", "ms"}
			s.row("answered half of them after", integer(d.of("half")))
			s.row("answered the last after", integer(d.of("last")))
			s.under(1000, d.of("last"), wholeMs, "a burst of 1,000 requests is acknowledged within 1 s")
		},
	}
}

func answering() scenario {
	const (
		rate  = 500
		conns = 128
	)
	return scenario{
		name: "latency", title: "Answers at a steady rate",
		begin: func(b *bench, r *rig.Rig) [][]way {
			p := openPool(r, rate, b.steady())
			bridge := startBridge(r, rig.BridgeConfig{})
			return alone(func(r *rig.Rig) metrics {
				p.Renew(p.Count)
				took := bridge.OpenLoop(conns, rate, p, b.steady())
				m := metrics{"an fsync of 4 KiB, p50": inMs(rig.Percentile(measureFsync(r.Dir), 50))}
				for name, point := range map[string]float64{"p50": 50, "p99": 99, "p99.9": 99.9, "the slowest": 100} {
					m[name] = inMs(rig.Percentile(took, point))
				}
				return m
			})
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{"", "ms"}
			for _, name := range []string{"p50", "p99", "p99.9", "the slowest", "an fsync of 4 KiB, p50"} {
				s.row(name, decimal(d.of(name)))
			}
			s.under(3, d.of("p99"), ms, "500 requests a second: p99 under 3 ms")
			s.under(10, d.of("p99.9"), ms, "500 requests a second: p99.9 under 10 ms")
		},
	}
}

// Failed predictions have no outputs, so the archive asks nothing of the provider's hosts.
func costing() scenario {
	const (
		rate   = 400
		conns  = 16
		events = 50_000
		many   = 256 // connections by which they come
	)
	return scenario{
		name: "cost", title: "Processor and memory",
		begin: func(b *bench, r *rig.Rig) [][]way {
			// used is the processor time of an event, in ms, of the receiver and what it stores in.
			used := func(r *rig.Rig, server *rig.Receiver, all ...*rig.Process) float64 {
				warm, w := rig.Window{Measured: b.warm}, rig.Window{Measured: b.steady().Measured}
				// What is opened for the first of them, such as a connection to the store, is not measured.
				server.OpenLoop(conns, rate, openPool(r, rate, warm), warm)
				p := openPool(r, rate, w)
				sum := func() (spent time.Duration) {
					for _, process := range append(all, server.Process) {
						spent += process.ProcessorOfAll()
					}
					return spent
				}
				before := sum()
				took := server.OpenLoop(conns, rate, p, w)
				return inMs(sum()-before) / float64(len(took))
			}
			measure := func(more string) func(r *rig.Rig) metrics {
				return func(r *rig.Rig) metrics {
					bridge := startBridge(r, rig.BridgeConfig{More: more})
					sendOne(r, bridge)
					m := metrics{"idle": settled(r, bridge.Process)[0]}
					m["processor"] = used(r, &bridge.Receiver)
					m["rate"] = sendAll(bridge, many, r.NewPool(events, failedWebhook())).Rate
					m["loaded"], m["peak"] = settled(r, bridge.Process)[0], peak(bridge.Process)
					return m
				}
			}
			ways := []way{{"bridge", measure("")}, {"viewless", measure(withoutView)}}
			if pg := b.postgres(r); pg != nil {
				ways = append(ways, way{inPostgres, func(r *rig.Rig) metrics {
					server := pg.start(r)
					return metrics{"processor": used(r, startPeer(r, inPostgres, pg.url()), server)}
				}})
			}
			return [][]way{ways}
		},
		report: func(b *bench, d data, s *section) {
			const goal = "400 requests a second: less processor time for each than Echo and PostgreSQL"
			s.row("processor time of an event", ms(d.of("bridge processor")))
			if b.noPostgres == "" {
				s.row("the same, Echo and PostgreSQL", ms(d.of("postgres processor")))
				s.under(1, d.ratio("bridge processor", "postgres processor"), percent, goal)
			} else {
				s.row("the same, Echo and PostgreSQL", b.noPostgres)
				s.unmeasured(b.noPostgres, goal)
			}
			s.row("the same, the bridge without a view", ms(d.of("viewless processor")))
			for _, w := range []struct{ name, title string }{{"bridge", ""}, {"viewless", ", without a view"}} {
				s.row("memory after one webhook"+w.title, mibs(d.of(w.name+" idle")))
				s.row(fmt.Sprintf("memory after %d webhooks (%.0f/s)", events, d.of(w.name+" rate").median)+w.title, mibs(d.of(w.name+" loaded")))
				s.row("the most memory it ever had"+w.title, mibs(d.of(w.name+" peak")))
			}
			s.under(1.25, d.ratio("bridge processor", "viewless processor"), percent, "400 requests a second: a view costs less than a quarter more processor time")
			s.under(40, d.of("viewless idle"), mibs, "idle without a view under 40 MiB")
			s.under(consumeMemory, d.of("viewless peak"), mibs, "256 connections, up to 50,000 events stored, without a view: never over 96 MiB")
			s.under(128, d.of("bridge peak"), mibs, "the same with a view: never over 128 MiB")
		},
	}
}

const (
	modeForge = "forge"
	// forgers is how many connections send forged webhooks; more would measure the senders.
	forgers = 64
)

func flooded() scenario {
	const (
		rate  = 200
		conns = 32
	)
	return scenario{
		name: "flood", title: "Good deliveries among forged ones",
		begin: func(b *bench, r *rig.Rig) [][]way {
			p := openPool(r, rate, b.steady())
			bridge := startBridge(r, rig.BridgeConfig{})
			good := func() float64 {
				p.Renew(p.Count)
				return inMs(rig.Percentile(bridge.OpenLoop(conns, rate, p, b.steady()), 99))
			}
			return [][]way{{
				{"quiet", func(*rig.Rig) metrics { return metrics{"p99": good()} }},
				{"flooded", func(r *rig.Rig) metrics {
					flood := r.StartMode("flood", 0, modeForge, bridge.Webhooks)
					m := metrics{"p99": good()}
					rig.Must(flood.Stop())
					var refused float64
					rig.Check(json.Unmarshal(rig.Must(flood.Line(r.Context())), &refused))
					m["refused"] = refused
					return m
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.row("p99 of good ones, quiet", ms(d.of("quiet p99")))
			s.row("p99 of good ones, flooded", ms(d.of("flooded p99")))
			s.row("forged ones refused", perSecond(d.of("flooded refused")))
			s.under(10, d.ratio("flooded p99", "quiet p99"), times, "good deliveries among a flood of forged ones: p99 under 10 times the quiet one")
		},
	}
}

// runForge sends forged webhooks to the address that args names, over each connection the
// next one when one is refused, until it is told to end. It is a process of its own, so
// that good deliveries do not wait in its queues. Its last line is how many webhooks were
// refused in a second.
func runForge(ctx context.Context, args []string, stdout io.Writer) error {
	body := failedWebhook().Body()
	signature := []byte(rig.Sign(body))
	signature[0] ^= 1 // still a hexadecimal digit
	request := rig.Request(body, string(signature))
	if err := rig.Ready(stdout, nil); err != nil {
		return err
	}
	var refused atomic.Int64
	begin := time.Now()
	var group errgroup.Group
	for range forgers {
		group.Go(func() error {
			conn := &rig.Conn{Addr: args[0], Timeout: rig.AnswerTimeout}
			defer conn.Close()
			for ctx.Err() == nil {
				answer, err := conn.Post(context.WithoutCancel(ctx), request)
				if err != nil {
					return err
				}
				if answer.Status != http.StatusUnauthorized {
					return fmt.Errorf("a forged webhook was answered %d %q", answer.Status, answer.Body)
				}
				refused.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(float64(refused.Load()) / time.Since(begin).Seconds())
}
