package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// slowBy is what each fsync of a slowed process takes longer.
const slowBy = 2 * time.Millisecond

var connections = []int{1, 16, 64, 256}

func accept(conns int, way string) string { return fmt.Sprintf("Accept/conns=%d/way=%s", conns, way) }

// embedded compares the ingress with the parts that it is made of.
func embedded() scenario {
	ways := []struct{ name, title string }{
		{"whole", "whole"}, {"no-publish", "no publish"}, {"bare", "bare"}, {"bare-batched", "bare batched"},
	}
	return scenario{
		name: "embedded", title: "Accepting webhooks, embedded",
		begin: func(b *bench, r *rig.Rig) (groups [][]way) {
			compiled := compile(r, ingressPackage)
			for _, n := range connections {
				var group []way
				for _, w := range ways {
					group = append(group, compiled.way(accept(n, w.name), b.time.String(), 0))
				}
				groups = append(groups, group)
			}
			return groups
		},
		report: func(_ *bench, d data, s *section) {
			s.text = `A webhook of a completed prediction is about 1.2 kB; each has its own id and a valid signature. Four ways are compared, each in one process with an embedded NATS that syncs before it acknowledges (` + "`go test ./" + ingressPackage + " -bench Accept`" + `):

- **whole**: HTTP, verification, and the answer after the event is on the disk, as ` + "`serve`" + ` does. Log lines are encoded and dropped.
- **no publish**: the same, but nothing is stored.
- **bare**: ` + "`PublishMsg`" + ` of nats.go with the same messages, to the same stream, by as many goroutines as there are connections.
- **bare batched**: the same goroutines, but one of them commits whatever waits as one atomic batch.

Ratios are of events per second.`
			s.head = []string{"connections", " way", "events/s", "p50 ms", "p99 ms", "whole to it"}
			rate := func(n int, way string) string { return accept(n, way) + " events/s" }
			for _, n := range connections {
				for _, w := range ways {
					to := ""
					if w.name != "whole" {
						to = percent(d.ratio(rate(n, "whole"), rate(n, w.name)))
					}
					s.row(strconv.Itoa(n), w.title, integer(d.of(rate(n, w.name))),
						fmt.Sprintf("%.2f", d.of(accept(n, w.name)+" p50-ms").median), fmt.Sprintf("%.2f", d.of(accept(n, w.name)+" p99-ms").median), to)
				}
			}
			s.under(0.25, d.difference(accept(1, "whole")+" p50-ms", accept(1, "bare")+" p50-ms"), signedMs, "at 1 connection, p50 less than 0.25 ms above bare publish")
			for _, goal := range []struct {
				conns          int
				least, stretch float64
			}{{64, 0.20, 0.35}, {256, 0.35, 0.50}} {
				whole := rate(goal.conns, "whole")
				s.atLeast(0.65, d.ratio(whole, rate(goal.conns, "bare-batched")), percent, fmt.Sprintf("at %d connections, at least 65 %% of bare batched publish", goal.conns))
				share := d.ratio(whole, rate(goal.conns, "no-publish"))
				s.atLeast(goal.least, share, percent, fmt.Sprintf("at %d connections, at least %.0f %% of no publish (stretch %.0f %%)", goal.conns, 100*goal.least, 100*goal.stretch))
				s.stretching(goal.stretch, share)
			}
		},
	}
}

// slowed compares the ingress with one that publishes each event by itself, on a disk
// that syncs slowly.
func slowed() scenario {
	const conns = 256
	return scenario{
		name: "slow", title: "Every fsync 2 ms slower", missing: func(string) string { return rig.MissingSlower() },
		begin: func(b *bench, r *rig.Rig) [][]way {
			compiled := compile(r, ingressPackage)
			return [][]way{{
				compiled.way(accept(conns, "whole"), (2 * b.time).String(), slowBy),
				compiled.way(accept(conns, "single"), (2 * b.time).String(), slowBy),
			}}
		},
		report: func(_ *bench, d data, s *section) {
			s.text = fmt.Sprintf("The same benchmark in a process in which each fsync takes %v longer (strace, which stops nothing else); %d connections. "+
				"**single** is the same ingress with one `PublishMsg` for each event.", slowBy, conns)
			s.rateRows(d, map[string]string{"whole": accept(conns, "whole"), "single": accept(conns, "single")})
			ratio := d.ratio(accept(conns, "whole")+" events/s", accept(conns, "single")+" events/s")
			s.atLeast(20, ratio, times, "every fsync 2 ms slower, 256 connections: at least 20 times single publishes (stretch 60)")
			s.stretching(60, ratio)
		},
	}
}

// rateRows makes the table of two ways: the whole bridge, and single publishes.
func (s *section) rateRows(d data, ways map[string]string) {
	s.head = []string{" way", "events/s", "p50 ms", "p99 ms"}
	for _, title := range []string{"whole", "single"} {
		key := ways[title]
		s.row(title, integer(d.of(key+" events/s")), decimal(d.of(key+" p50-ms")), decimal(d.of(key+" p99-ms")))
	}
}
