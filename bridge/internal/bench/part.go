package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// part is one question that a run answers.
type part struct {
	name, title string
	measure     func(b *bench, ctx context.Context) (finding, error)
}

// finding is the answer, one section of the report.
type finding struct {
	title string
	// text is Markdown: what was measured, and how.
	text string
	// head and rows are a table. A column whose head begins with a space is
	// aligned to the left.
	head []string
	rows [][]string
	bars []bar
}

// parts in the order in which they run. What needs the processors most is first,
// what leaves most on the disk is last.
func parts() []part {
	return []part{
		{"embedded", "Accepting webhooks, embedded", (*bench).measureThroughput},
		{"slow", "Every fsync 2 ms slower", (*bench).measureSlow},
		{"external", "External NATS that syncs always", (*bench).measureExternal},
		{"cluster", "Three servers, every fsync 2 ms slower", (*bench).measureCluster},
		{"burst", "A burst", (*bench).measureBurst},
		{"latency", "Answers at a steady rate", (*bench).measureLatency},
		{"cost", "Processor and memory", (*bench).measureCost},
		{"noop", "Reading events", (*bench).measureNoop},
		{"started", "From a webhook to the handler", (*bench).measureStarted},
		{"waiting", "Beside many that wait", (*bench).measureWaiting},
		{"flood", "Good deliveries among forged ones", (*bench).measureFlood},
		{"drain", "Draining the spool", (*bench).measureDrain},
		{"archive", "Archiving outputs", (*bench).measureArchived},
		{"forward", "Forwarding to a service", (*bench).measureForwarded},
		{"output", "A large output", (*bench).measureOutput},
		{"predictions", "The ledger of predictions", (*bench).measurePredictions},
		{"stored", "Millions of stored events", (*bench).measureStored},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// chooseParts returns those named, with commas between, or all for no name.
func chooseParts(only string) ([]part, error) {
	if only == "" {
		return parts(), nil
	}
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.Contains(partNames(), name) {
			return nil, fmt.Errorf("there is no part %q: they are %s", name, strings.Join(partNames(), ", "))
		}
	}
	return slices.DeleteFunc(parts(), func(p part) bool { return !slices.Contains(names, p.name) }), nil
}

// row adds one to the table.
func (f *finding) row(cells ...string) { f.rows = append(f.rows, cells) }

// bar is what a number should be, and is.
type bar struct {
	what, measured string
	met            bool
	stretch        string // met too, or not; empty when there is none
}

// atLeast adds a bar that the median must reach, and a stretch unless that is 0.
func (f *finding) atLeast(s spread, least, stretch float64, what, measured string) {
	b := bar{what: what, measured: measured, met: s.median >= least}
	if stretch > 0 {
		b.stretch = yes(s.median >= stretch)
	}
	f.bars = append(f.bars, b)
}

// under adds a bar that the median must stay below.
func (f *finding) under(s spread, most float64, what, measured string) {
	f.bars = append(f.bars, bar{what: what, measured: measured, met: s.median < most})
}

func yes(met bool) string {
	if met {
		return "yes"
	}
	return "**no**"
}
