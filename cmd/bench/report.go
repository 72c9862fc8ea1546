package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/ingress"
)

// results is everything that was measured.
type results struct {
	date       time.Time
	rounds     int
	warm, time time.Duration
	machine    machine
	throughput throughput
	memory     memory
	output     output
}

func (r *results) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	r.head(p)
	r.acceptance(p)
	r.resources(p)
	r.verdicts(p)
	return b.String()
}

// line writes one line of the report.
type line func(format string, args ...any)

func (r *results) head(p line) {
	m := r.machine
	p("# Benchmarks\n")
	p("Made by `make bench` on %s. Only the ratios say something about another machine: everything is measured side by side, in one run.\n", r.date.UTC().Format("2006-01-02 15:04 UTC"))
	p("| | |\n|---|---|")
	p("| processor | %s, %d cores |", m.cpu, m.cores)
	p("| memory | %.1f GiB |", float64(m.memory)/gib)
	p("| kernel, file system | %s, %s |", m.kernel, m.fileSystem)
	p("| fsync of 4 KiB | p50 %s ms, p99 %s ms (%d tries, spread over the run) |", ms(percentile(r.throughput.fsync, 50)), ms(percentile(r.throughput.fsync, 99)), len(r.throughput.fsync))
	p("| other programs meanwhile | %.0f %% of the processors |", 100*r.throughput.others)
	p("| software | %s |\n", software())
}

func (r *results) acceptance(p line) {
	p("## Accepting webhooks\n")
	p("A webhook of a completed prediction is %d bytes; each has its own id and a valid signature. Three ways are compared:\n", r.throughput.bodyBytes)
	p("- **%v**: HTTP, verification, and the answer after the event is on the disk; what `serve` does.", whole)
	p("- **%v**: the same, but nothing is stored.", verify)
	p("- **%v**: `PublishMsg` of nats.go with the same messages, to the same stream of the same embedded server, by as many goroutines as there are connections.\n", bare)
	p("Client, bridge and embedded NATS share one process and its processors. Requests are made and signed before the clock runs; the client is raw keep-alive connections. "+
		"Log lines are encoded and dropped. There were %d rounds; in each the three ways follow each other, in changing order, with %v to warm up and %v measured. "+
		"A number is the median of the rounds; a ratio is the median of the ratios within each round, with the lowest and the highest in brackets. "+
		"Anything but an answer 200 `stored` would have ended the run.\n", r.rounds, r.warm, r.time)
	p("| connections | way | events/s | p50 ms | p99 ms |\n|---:|---|---:|---:|---:|")
	for _, n := range connections {
		for v := range variants {
			s := r.throughput.samples[v][n]
			p("| %d | %v | %.0f | %.2f | %.2f |", n, v, over(s, sample.perSecond).median, over(s, sample.p50ms).median, over(s, sample.p99ms).median)
		}
	}
	p("")
	p("| connections | events/s, whole to bare | events/s, whole to no publish | p50, whole less bare |\n|---:|---:|---:|---:|")
	for _, n := range connections {
		p("| %d | %s | %s | %s ms |", n, percent(r.ratio(bare, n)), percent(r.ratio(verify, n)), signed(r.delay(n)))
	}
	p("")
}

func (r *results) resources(p line) {
	p("## Memory and large outputs\n")
	p("`hookspan serve` as a process of its own, with default settings but for its addresses, a deadline of %v and a stream of 64 MiB; resident memory (VmRSS), the least of %.0f s. "+
		"The %d webhooks came over %d connections and tell of failed predictions, which the archive does not read.\n", ingress.MaxDeadline, settleTime.Seconds(), manyWebhooks, manyConnections)
	p("| | |\n|---|---:|")
	p("| idle, after one webhook | %s |", inMiB(r.memory.idle))
	p("| after %d webhooks (%.0f/s) | %s |", manyWebhooks, r.memory.rate, inMiB(r.memory.loaded))
	p("| the most it ever had | %s |\n", inMiB(r.memory.peak))
	if r.output.skipped != "" {
		p("Archiving a large output was not measured: %s.\n", r.output.skipped)
		return
	}
	p("One output of %s, from a server on the same machine to the archive, until its manifest is on the disk; memory looked at every %v. Size and SHA-256 in the manifest are right.\n", inMiB(outputBytes), outputTick)
	p("| | |\n|---|---:|")
	p("| archived in | %.1f s, %.0f MiB/s |", r.output.took.Seconds(), outputBytes/mib/r.output.took.Seconds())
	p("| memory before, most | %s, %s |", inMiB(r.output.before), inMiB(r.output.peak))
	p("| growth | %s |\n", inMiB(r.output.growth()))
}

func (o output) growth() int64 { return max(0, o.peak-o.before) }

const (
	aimDelay  = 0.25 // ms
	aimRatio  = 0.9
	aimIdle   = 40 * mib
	aimGrowth = 32 * mib
)

func (r *results) verdicts(p line) {
	p("## Aims\n")
	p("| aim | measured | met |\n|---|---:|---|")
	aim := func(what, measured string, met bool) {
		answer := "yes"
		if !met {
			answer = "**no**"
		}
		p("| %s | %s | %s |", what, measured, answer)
	}
	delay := r.delay(1)
	aim(fmt.Sprintf("at 1 connection, p50 at most %.2f ms above bare publish", aimDelay), signed(delay)+" ms", delay.median <= aimDelay)
	for _, n := range []int{64, 256} {
		ratio := r.ratio(bare, n)
		aim(fmt.Sprintf("at %d connections, at least %.0f %% of bare publish", n, 100*aimRatio), percent(ratio), ratio.median >= aimRatio)
	}
	aim("idle under "+inMiB(aimIdle), inMiB(r.memory.idle), r.memory.idle < aimIdle)
	if r.output.skipped == "" {
		aim("an output of 1 GiB grows the memory by less than "+inMiB(aimGrowth), inMiB(r.output.growth()), r.output.growth() < aimGrowth)
	}
}

func (s sample) perSecond() float64 { return s.rate }
func (s sample) p50ms() float64     { return s.p50.Seconds() * 1000 }
func (s sample) p99ms() float64     { return s.p99.Seconds() * 1000 }

// over is the spread of one value of the samples.
func over(samples []sample, value func(sample) float64) spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return spreadOf(values)
}

// paired compares the whole ingress with another way, round by round.
func (r *results) paired(with variant, n int, compare func(whole, other sample) float64) spread {
	values := make([]float64, r.rounds)
	for i := range values {
		values[i] = compare(r.throughput.samples[whole][n][i], r.throughput.samples[with][n][i])
	}
	return spreadOf(values)
}

func (r *results) ratio(to variant, n int) spread {
	return r.paired(to, n, func(whole, other sample) float64 { return whole.rate / other.rate })
}

func (r *results) delay(n int) spread {
	return r.paired(bare, n, func(whole, other sample) float64 { return whole.p50ms() - other.p50ms() })
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }

func percent(s spread) string {
	return fmt.Sprintf("%.0f %% (%.0f to %.0f)", 100*s.median, 100*s.low, 100*s.high)
}

func signed(s spread) string {
	return fmt.Sprintf("%+.2f (%+.2f to %+.2f)", s.median, s.low, s.high)
}

func inMiB(n int64) string {
	return fmt.Sprintf("%.0f MiB", math.Ceil(float64(n)/mib))
}
