package main

import (
	"fmt"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const module = "github.com/hookspan/hookspan/"

const (
	consumersPackage = "consumers"
	viewPackage      = "bridge/internal/view"
	sourcePackage    = "bridge/internal/source"
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

// way runs a benchmark, with more flags of its package if it needs them.
func (b benchmarks) way(name, benchtime string, flags ...string) way {
	pattern := "^Benchmark" + strings.ReplaceAll(name, "/", "$/^") + "$"
	return way{name, func(r *rig.Rig) metrics {
		p := r.Start(rig.Command{
			Name: "benchmark", // the shell says for the benchmark that it is ready
			Args: slices.Concat([]string{"/bin/sh", "-c", `echo "{\"pid\": $$}"; exec "$@"`, "sh", string(b), "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", benchtime}, flags),
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
					group = append(group, compiled.way(key(n, w.name), strconv.Itoa(count)+"x"))
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

func verifying() scenario {
	return scenario{
		name: "verify", title: "Verifying", rounds: viewRounds,
		begin: func(_ *bench, r *rig.Rig) [][]way {
			return [][]way{{compile(r, sourcePackage).way("Verify", "100x")}}
		},
		report: func(_ *bench, d data, s *section) {
			secret, public := d.of("Verify secret-µs"), d.of("Verify Ed25519-µs")
			s.row("the slowest kind with a shared secret", micros(secret))
			s.row("the slowest kind with Ed25519", micros(public))
			s.row("Ed25519 itself", micros(d.of("Verify itself-µs")))
			s.under(15, secret, micros, "a webhook of 2 KiB of any kind with a shared secret: verified within 15 µs")
			s.under(60, public, micros, "a webhook of 2 KiB of any kind with Ed25519: verified within 60 µs")
		},
	}
}
