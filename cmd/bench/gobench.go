package main

import (
	"fmt"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const module = "github.com/hookspan/hookspan/"

const (
	ingressPackage     = "bridge/internal/ingress"
	consumersPackage   = "consumers"
	predictionsPackage = "bridge/internal/predictions"
)

// benchmarks are the compiled benchmarks of a package.
type benchmarks string

func compile(r *rig.Rig, pkg string) benchmarks {
	binary := r.Path(path.Base(pkg) + ".test")
	out, err := exec.CommandContext(r.Context(), "go", "test", "-c", "-o", binary, module+pkg).CombinedOutput()
	if err != nil {
		rig.Check(fmt.Errorf("compiling the benchmarks of %s: %w\n%s", pkg, err, out))
	}
	return benchmarks(binary)
}

func (b benchmarks) way(name, benchtime string, slow time.Duration) way {
	pattern := "^Benchmark" + strings.ReplaceAll(name, "/", "$/^") + "$"
	return way{name, func(r *rig.Rig) metrics {
		p := r.Start(rig.Command{
			Name: "benchmark", Slow: slow, // the shell says for the benchmark that it is ready
			Args: []string{"/bin/sh", "-c", `echo "{\"pid\": $$}"; exec "$@"`, "sh", string(b), "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime},
		})
		var m metrics
		var said []string
		line, err := p.Line(r.Context())
		for ; err == nil; line, err = p.Line(r.Context()) {
			said = append(said, string(line))
			if m == nil {
				m = metricsOf(string(line))
			}
		}
		if _, err := p.Stop(); err != nil || m == nil { // it has ended, unless it hangs
			rig.Check(fmt.Errorf("the benchmark printed\n%s\n%w", strings.Join(said, "\n"), err))
		}
		return m
	}}
}

// metricsOf reads the line that a Go benchmark prints when it is done: its name, how many
// operations it did, and values with their units. Other lines give nil.
func metricsOf(line string) metrics {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return nil
	}
	m := metrics{}
	for i := 2; i+1 < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil
		}
		m[fields[i+1]] = value
	}
	return m
}

// slowBy is what each fsync of a slowed process takes longer.
const slowBy = 2 * time.Millisecond

var connections = []int{1, 16, 64, 256}

func accept(conns int, way string) string { return fmt.Sprintf("Accept/conns=%d/way=%s", conns, way) }

func embedded() scenario {
	ways := []string{"whole", "no-publish", "bare", "bare-batched"}
	return scenario{
		name: "embedded", title: "Accepting webhooks, embedded",
		begin: func(b *bench, r *rig.Rig) (groups [][]way) {
			compiled := compile(r, ingressPackage)
			for _, n := range connections {
				var group []way
				for _, w := range ways {
					group = append(group, compiled.way(accept(n, w), b.time.String(), 0))
				}
				groups = append(groups, group)
			}
			return groups
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{"connections", " way", "events/s", "p50 ms", "p99 ms", "whole to it"}
			rate := func(n int, way string) string { return accept(n, way) + " events/s" }
			for _, n := range connections {
				for _, w := range ways {
					to := ""
					if w != "whole" {
						to = percent(d.ratio(rate(n, "whole"), rate(n, w)))
					}
					s.row(strconv.Itoa(n), strings.ReplaceAll(w, "-", " "), integer(d.of(rate(n, w))),
						once("%.2f")(d.of(accept(n, w)+" p50-ms")), once("%.2f")(d.of(accept(n, w)+" p99-ms")), to)
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
			s.rateRows(d, accept(conns, "whole"), accept(conns, "single"))
			ratio := d.ratio(accept(conns, "whole")+" events/s", accept(conns, "single")+" events/s")
			s.atLeast(20, ratio, times, "every fsync 2 ms slower, 256 connections: at least 20 times single publishes (stretch 60)")
			s.stretching(60, ratio)
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

// consumeMemory is the most memory, in MiB, of a process that consumes events.
const consumeMemory = 96

func reading() scenario {
	const (
		events = 48_000
		// onceEvents is less: each writes twice, with a sync.
		onceEvents = events / 10
	)
	ways := []struct{ name, title string }{
		{"consumer", "consumer"},
		{"consumer-once", "consumer, once"},
		{"pull", "pull"},
		{"pull-one-subject", "pull, one filter subject"},
		{"pull-no-filter", "pull, no filter"},
		{"pull-buffered", "pull, buffered"},
	}
	workers := []int{8, 64}
	key := func(n int, way string) string { return fmt.Sprintf("Read/workers=%d/way=%s", n, way) }
	return scenario{
		name: "noop", title: "Reading events",
		begin: func(_ *bench, r *rig.Rig) (groups [][]way) {
			compiled := compile(r, consumersPackage)
			for _, n := range workers {
				var group []way
				for _, w := range ways {
					count := map[bool]int{true: onceEvents, false: events}[w.name == "consumer-once"]
					group = append(group, compiled.way(key(n, w.name), strconv.Itoa(count)+"x", 0))
				}
				groups = append(groups, group)
			}
			return groups
		},
		report: func(_ *bench, d data, s *section) {
			s.head = []string{"at once", " way", "events/s", "to the consumer", "to pull", "processor, µs", "memory"}
			var memory spread
			for _, n := range workers {
				ours, plain := key(n, "consumer")+" events/s", key(n, "pull")+" events/s"
				for _, w := range ways {
					one := key(n, w.name)
					most := d.of(one + " peak-MiB")
					rate := one + " events/s"
					s.row(strconv.Itoa(n), w.title, integer(d.of(rate)), percent(d.ratio(rate, ours)), percent(d.ratio(rate, plain)), integer(d.of(one+" cpu-µs")), mibs(most))
					if (w.name == "consumer" || w.name == "consumer-once") && most.median > memory.median {
						memory = most
					}
				}
				s.atLeast(0.70, d.ratio(ours, plain), percent, fmt.Sprintf("a handler that does nothing, %d at once: at least 70 %% of a plain pull", n))
			}
			s.under(consumeMemory, memory, mibs, "a handler that does nothing, also once: never over 96 MiB")
		},
	}
}
