package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// texts are Markdown: what is measured and how, below the title of each scenario.
//
//go:embed texts.md
var texts string

func textOf(title string) string {
	_, text, _ := strings.Cut(texts, "## "+title+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	return strings.TrimSpace(text)
}

type results struct {
	date       time.Time
	took       time.Duration
	rounds     int
	warm, time time.Duration
	machine    machine
	fsync      []time.Duration
	others     float64 // share of the processors that other programs took
	sections   []*section
}

type section struct {
	title string
	text  string // Markdown
	// head and rows are a table, by default of what was measured. A column whose head is
	// empty or begins with a space is aligned to the left.
	head []string
	rows [][]string
	bars []bar
}

type bar struct {
	goal, measured string
	met            bool
	unmeasured     bool
	stretch        string // met too, or not; empty when there is none
}

func (s *section) row(cells ...string) { s.rows = append(s.rows, cells) }

// atLeast adds a bar that the median must reach.
func (s *section) atLeast(least float64, got spread, in unit, goal string) {
	s.bars = append(s.bars, bar{goal: goal, measured: in(got), met: got.median >= least})
}

// stretching adds another goal to the last bar.
func (s *section) stretching(least float64, got spread) {
	s.bars[len(s.bars)-1].stretch = yes(got.median >= least)
}

// under adds a bar that the median must stay below.
func (s *section) under(most float64, got spread, in unit, goal string) {
	s.bars = append(s.bars, bar{goal: goal, measured: in(got), met: got.median < most})
}

// unmeasured adds a bar that this machine cannot measure, and why.
func (s *section) unmeasured(why, goal string) {
	s.bars = append(s.bars, bar{goal: goal, measured: why, unmeasured: true})
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}

type line func(format string, args ...any)

func (r *results) markdown() string {
	var b strings.Builder
	p := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	r.head(p)
	p("## Bars\n\n| bar | measured | met | stretch |\n|---|---:|---|---|")
	for _, s := range r.sections {
		for _, b := range s.bars {
			met := yes(b.met)
			if b.unmeasured {
				met = ""
			}
			p("| %s | %s | %s | %s |", b.goal, b.measured, met, b.stretch)
		}
	}
	p("")
	for _, s := range r.sections {
		s.write(p)
	}
	return b.String()
}

func (r *results) head(p line) {
	m := r.machine
	ms := func(p float64) float64 { return inMs(rig.Percentile(r.fsync, p)) }
	p("# Benchmarks\n")
	p("Made by `make bench` on %s in %.0f minutes. Only the ratios say something about another machine: what is compared is measured side by side, in one run.\n",
		r.date.UTC().Format("2006-01-02 15:04 UTC"), r.took.Minutes())
	p("| | |\n|---|---|")
	p("| processor | %s, %d cores |", m.cpu, m.cores)
	p("| memory | %.1f GiB |", m.memory/gib)
	p("| kernel, file system | %s, %s |", m.kernel, m.fileSystem)
	p("| fsync of 4 KiB | p50 %.2f ms, p99 %.2f ms (%d tries, spread over the run) |", ms(50), ms(99), len(r.fsync))
	p("| other programs meanwhile | %.0f %% of the processors |", 100*r.others)
	p("| software | %s, nats-server %s, nats.go %s, PostgreSQL %s |\n", runtime.Version(), server.VERSION, nats.Version, cmp.Or(m.postgres, "not installed"))
	p("The client, the bridge and the stores share these processors. Everything was measured in %d rounds. In each, the ways that are compared follow each other, in changing order, "+
		"each with %v to warm up and %v measured, loads of a fixed rate four times as long. A number is the median of the rounds, a ratio the median of the ratios within each round, "+
		"with the lowest and the highest in brackets. Webhooks are made and signed before the clock runs; the client is raw keep-alive connections. "+
		"Any answer other than the one that is asked for would have ended the run.\n", r.rounds, r.warm, r.time)
	p("Parts of the bridge are measured by Go benchmarks, each in a process of its own. They run as long, and warm up with a quarter as many operations.\n")
}

func (s *section) write(p line) {
	p("## %s\n\n%s\n", s.title, s.text)
	if len(s.rows) == 0 {
		return
	}
	head := s.head
	if head == nil {
		head = []string{"", "measured"}
	}
	rule := make([]string, len(head))
	for i, h := range head {
		rule[i] = "---:"
		if h == "" || h[0] == ' ' {
			rule[i] = "---"
		}
	}
	for _, cells := range slices.Concat([][]string{head, rule}, s.rows) {
		p("|%s|", strings.Join(cells, "|"))
	}
	p("")
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// spread is what the rounds gave: the median, between the lowest and the highest.
type spread struct {
	low, median, high float64
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return spread{low: sorted[0], median: median, high: sorted[len(sorted)-1]}
}

func inMs(d time.Duration) float64 { return d.Seconds() * 1000 }

type unit func(spread) string

func percent(s spread) string {
	return fmt.Sprintf("%.0f %% (%.0f to %.0f)", 100*s.median, 100*s.low, 100*s.high)
}

func times(s spread) string {
	return fmt.Sprintf("%.1f times (%.1f to %.1f)", s.median, s.low, s.high)
}

func signedMs(s spread) string {
	return fmt.Sprintf("%+.2f (%+.2f to %+.2f) ms", s.median, s.low, s.high)
}

func decimal(s spread) string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median, s.low, s.high) }
func integer(s spread) string { return fmt.Sprintf("%.0f (%.0f to %.0f)", s.median, s.low, s.high) }

func ms(s spread) string        { return decimal(s) + " ms" }
func micros(s spread) string    { return decimal(s) + " µs" }
func wholeMs(s spread) string   { return integer(s) + " ms" }
func seconds(s spread) string   { return decimal(s) + " s" }
func perSecond(s spread) string { return integer(s) + " /s" }
func mibPerSecond(s spread) string {
	return integer(s) + " MiB/s"
}

func mibs(s spread) string { return fmt.Sprintf("%.0f MiB (%.0f to %.0f)", s.median, s.low, s.high) }

// once are the units of a value that was measured once.
func once(format string) unit {
	return func(s spread) string { return fmt.Sprintf(format, s.median) }
}
