package main

import (
	_ "embed"
	"fmt"
	"math"
	"strings"
	"time"
)

// tried is what people wrote about the ways to commit in groups that were tried.
//
//go:embed tried.md
var tried string

// results is everything that was measured.
type results struct {
	date       time.Time
	took       time.Duration
	rounds     int
	warm, time time.Duration
	machine    machine
	fsync      []time.Duration
	others     float64 // share of the processors that other programs took
	findings   []finding
}

// line writes one line of the report.
type line func(format string, args ...any)

func (r *results) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	r.head(p)
	r.bars(p)
	for _, f := range r.findings {
		f.section(p)
	}
	b.WriteString(strings.TrimSpace(tried) + "\n")
	return b.String()
}

func (r *results) head(p line) {
	m := r.machine
	p("# Benchmarks\n")
	p("Made by `make bench` on %s in %.0f minutes. Only the ratios say something about another machine: what is compared is measured side by side, in one run.\n",
		r.date.UTC().Format("2006-01-02 15:04 UTC"), r.took.Minutes())
	p("| | |\n|---|---|")
	p("| processor | %s, %d cores |", m.cpu, m.cores)
	p("| memory | %.1f GiB |", float64(m.memory)/gib)
	p("| kernel, file system | %s, %s |", m.kernel, m.fileSystem)
	p("| fsync of 4 KiB | p50 %s ms, p99 %s ms (%d tries, spread over the run) |", ms(percentile(r.fsync, 50)), ms(percentile(r.fsync, 99)), len(r.fsync))
	p("| other programs meanwhile | %.0f %% of the processors |", 100*r.others)
	p("| software | %s |\n", software())
	p("The client, the bridge and NATS share these processors. Everything was measured in %d rounds. In each, the ways that are compared follow each other, in changing order, "+
		"each with %v to warm up and %v measured, loads of a fixed rate four times as long. A number is the median of the rounds, a ratio the median of the ratios within each round, "+
		"with the lowest and the highest in brackets. Webhooks are made and signed before the clock runs; the client is raw keep-alive connections. "+
		"Any answer other than the one that is asked for would have ended the run.\n", r.rounds, r.warm, r.time)
}

func (r *results) bars(p line) {
	p("## Bars\n")
	p("| bar | measured | met | stretch |\n|---|---:|---|---|")
	for _, f := range r.findings {
		for _, b := range f.bars {
			p("| %s | %s | %s | %s |", b.what, b.measured, yes(b.met), b.stretch)
		}
	}
	p("")
}

func (f *finding) section(p line) {
	p("## %s\n", f.title)
	p("%s\n", f.text)
	if len(f.rows) == 0 {
		return
	}
	rule := make([]string, len(f.head))
	for i, h := range f.head {
		rule[i] = "---:"
		if h == "" || h[0] == ' ' {
			rule[i] = "---"
		}
	}
	row := func(cells []string) string { return "|" + strings.Join(cells, "|") + "|" }
	p("%s\n%s", row(f.head), row(rule))
	for _, cells := range f.rows {
		p("%s", row(cells))
	}
	p("")
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f", d.Seconds()*1000) }

// The units in which spreads are written.

func percent(s spread) string {
	return fmt.Sprintf("%.0f %% (%.0f to %.0f)", 100*s.median, 100*s.low, 100*s.high)
}

func signed(s spread) string {
	return fmt.Sprintf("%+.2f (%+.2f to %+.2f)", s.median, s.low, s.high)
}

func decimal(s spread) string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.low, s.high) }

func integer(s spread) string { return fmt.Sprintf("%.0f (%.0f to %.0f)", s.median, s.low, s.high) }

func times(s spread) string {
	return fmt.Sprintf("%.1f times (%.1f to %.1f)", s.median, s.low, s.high)
}

func inMiB[N int64 | float64](n N) string {
	return fmt.Sprintf("%.0f MiB", math.Ceil(float64(n)/mib))
}

func mibs(s spread) string {
	return fmt.Sprintf("%.0f MiB (%.0f to %.0f)", s.median/mib, s.low/mib, s.high/mib)
}
