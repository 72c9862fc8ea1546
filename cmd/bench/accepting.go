package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// receiver is one of the servers that accepting webhooks compares.
type receiver struct {
	name, title string
	start       func(r *rig.Rig) *rig.Receiver
}

// withoutView is the [rig.BridgeConfig.More] of a bridge that folds no view.
const withoutView = "roles: [ingress, consumers]"

// receivers are all that this machine has. pg is nil where it has no PostgreSQL.
func (b *bench) receivers(pg *postgres) []receiver {
	bridge := func(c rig.BridgeConfig) func(r *rig.Rig) *rig.Receiver {
		return func(r *rig.Rig) *rig.Receiver { return &startBridge(r, c).Receiver }
	}
	all := []receiver{
		{"bridge", "bridge", bridge(rig.BridgeConfig{})},
		{"viewless", "bridge, without a view", bridge(rig.BridgeConfig{More: withoutView})},
		{inNothing, "Echo, no store", func(r *rig.Rig) *rig.Receiver { return startPeer(r, inNothing, "") }},
		{inNATS, "Echo and NATS", func(r *rig.Rig) *rig.Receiver { return startPeer(r, inNATS, r.StartNATS(rig.NATSConfig{}).URL) }},
	}
	if pg != nil {
		all = append(all, receiver{inPostgres, "Echo and PostgreSQL", func(r *rig.Rig) *rig.Receiver {
			pg.start(r)
			return startPeer(r, inPostgres, pg.url())
		}})
	}
	if b.before != "" {
		all = append(all, receiver{"before", "the binary before", bridge(rig.BridgeConfig{Binary: b.before})})
	}
	return all
}

// acceptance are the bars at one number of connections: the least that the bridge has to
// accept, as a share of what others do.
type acceptance struct {
	conns                     int
	postgres, nothing, before float64 // 0: no bar
	stretch                   float64 // of postgres
}

var acceptances = []acceptance{{conns: 1}, {16, 1.2, 0.25, 2.5, 1.5}, {64, 1.7, 0.40, 2.5, 2.2}, {256, 1.6, 0.35, 1.7, 2.2}}

// viewShare is how much of accepting a view may cost under full load.
const viewShare = 0.1

// overFsync is how much longer than an fsync one answer may take, in ms.
const overFsync = 0.2

func accepting() scenario {
	key := func(n int, name string) string { return fmt.Sprintf("%d %s", n, name) }
	rate := func(a acceptance, name string) string { return key(a.conns, name) + " events/s" }
	return scenario{
		name: "accept", title: "Accepting webhooks",
		begin: func(b *bench, r *rig.Rig) (groups [][]way) {
			p := closedPool(r, b.window())
			all := b.receivers(b.postgres(r))
			for _, a := range acceptances {
				var group []way
				for _, v := range all {
					group = append(group, way{key(a.conns, v.name), func(r *rig.Rig) metrics {
						server := v.start(r)
						p.Renew(p.Count)
						m := sampleMetrics(server.Load(a.conns, p, b.window()))
						if a.conns == 1 {
							m["fsync"] = inMs(rig.Percentile(measureFsync(r.Dir), 50))
						}
						return m
					}})
				}
				groups = append(groups, group)
			}
			return groups
		},
		report: func(b *bench, d data, s *section) {
			s.head = []string{"connections", " way", "events/s", "p50 ms", "p99 ms", "p99.9 ms", "to PostgreSQL", "to no store"}
			for _, a := range acceptances {
				for _, v := range b.receivers(&postgres{}) { // also the one that this machine may not have
					if v.name == inPostgres && b.noPostgres != "" {
						s.row(strconv.Itoa(a.conns), v.title, b.noPostgres, "", "", "", "", "")
						continue
					}
					one, to := key(a.conns, v.name), ""
					if b.noPostgres == "" {
						to = percent(d.ratio(rate(a, v.name), rate(a, inPostgres)))
					}
					s.row(strconv.Itoa(a.conns), v.title, integer(d.of(rate(a, v.name))), once("%.2f")(d.of(one+" p50-ms")), once("%.2f")(d.of(one+" p99-ms")), once("%.2f")(d.of(one+" p99.9-ms")),
						to, percent(d.ratio(rate(a, v.name), rate(a, inNothing))))
				}
			}
			s.row("", "fsync of 4 KiB, beside 1 connection", "", once("%.2f")(d.of(key(1, "bridge")+" fsync")), "", "", "", "")
			for _, a := range acceptances[1:] {
				to := func(name string) spread { return d.ratio(rate(a, "bridge"), rate(a, name)) }
				at := fmt.Sprintf("at %d connections, at least ", a.conns)
				goal := at + fmt.Sprintf("%.1f times Echo and PostgreSQL (stretch %.1f)", a.postgres, a.stretch)
				if b.noPostgres == "" {
					s.atLeast(a.postgres, to(inPostgres), times, goal)
					s.stretching(a.stretch, to(inPostgres))
				} else {
					s.unmeasured(b.noPostgres, goal)
				}
				s.atLeast(a.nothing, to(inNothing), percent, at+fmt.Sprintf("%.0f %% of no store", 100*a.nothing))
				if b.before != "" {
					s.atLeast(a.before, to("before"), times, at+fmt.Sprintf("%.1f times the binary before", a.before))
				}
			}
			last := acceptances[len(acceptances)-1]
			s.atLeast(1-viewShare, d.ratio(rate(last, "bridge"), rate(last, "viewless")), percent, "at 256 connections, at least 90 % of a bridge without a view")
			s.under(overFsync, d.difference(key(1, "bridge")+" p50-ms", key(1, "bridge")+" fsync"), signedMs, "at 1 connection, p50 less than 0.2 ms above an fsync")
		},
	}
}

// slowBy is what each fsync of a slowed process takes longer.
const slowBy = 2 * time.Millisecond

func slowed() scenario {
	const conns = 256
	return scenario{
		name: "slow", title: "Every fsync 2 ms slower", missing: func(string) string { return rig.MissingTracer() },
		begin: func(b *bench, r *rig.Rig) [][]way {
			w := rig.Window{Warm: 2 * b.warm, Measured: 2 * b.time}
			p := closedPool(r, w)
			load := func(server *rig.Receiver) metrics {
				p.Renew(p.Count)
				return sampleMetrics(server.Load(conns, p, w))
			}
			return [][]way{{
				{"whole", func(r *rig.Rig) metrics { return load(&startBridge(r, rig.BridgeConfig{Slow: slowBy}).Receiver) }},
				{"single", func(r *rig.Rig) metrics {
					return load(startPeer(r, inNATS, r.StartNATS(rig.NATSConfig{Slow: slowBy}).URL))
				}},
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.rateRows(d, "whole", "single")
			s.atLeast(40, d.ratio("whole events/s", "single events/s"), times, "every fsync 2 ms slower, 256 connections: at least 40 times single publishes")
		},
	}
}

// rateRows makes the table of two ways: the whole bridge, and single publishes.
func (s *section) rateRows(d data, whole, single string) {
	s.head = []string{" way", "events/s", "p50 ms", "p99 ms"}
	for i, key := range []string{whole, single} {
		s.row([]string{"whole", "single"}[i], integer(d.of(key+" events/s")), decimal(d.of(key+" p50-ms")), decimal(d.of(key+" p99-ms")))
	}
}
