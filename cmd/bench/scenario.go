package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// scenario is one question that a run answers, in one section of the report.
type scenario struct {
	name, title string
	// missing says why this machine cannot answer, or is empty. nil: every machine can.
	missing func(dir string) string
	rounds  int // how often the scenario is measured at most, 0: as often as the others
	// begin returns the ways that are measured, in groups of those that are compared.
	// What it starts on the rig lasts for all rounds.
	begin  func(b *bench, r *rig.Rig) [][]way
	report func(b *bench, d data, s *section)
}

// way is one of the things that are measured in each round.
type way struct {
	name string
	// measure has a folder of its own. What it starts on the rig ends with it.
	measure func(r *rig.Rig) metrics
}

type metrics map[string]float64

// add adds the median and the 99th percentile of some times.
func (m metrics) add(name string, took []time.Duration) {
	m[name+" p50"], m[name+" p99"] = inMs(rig.Percentile(took, 50)), inMs(rig.Percentile(took, 99))
}

// data is what all rounds gave: one value for each round by "way metric", or by the
// metric alone when the way has no name.
type data map[string][]float64

// scenarios in the order in which they run. Those that need the processors most are
// first, those that leave most on the disk are last.
func scenarios() []scenario {
	return []scenario{
		accepting(), slowed(), external(), clustered(), replicated(), bursting(), answering(), costing(), reading(), starting(), waiting(),
		verifying(), flooded(), draining(), archiving(), forwarding(), largeOutput(), folding(), keeping(), awaiting(), watched(), tailing(), traced(), redriving(), scraping(), storedMillions(), listing(),
	}
}

func scenarioNames() (names []string) {
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// chooseScenarios returns those that are named, with commas between, or all for no name.
func chooseScenarios(only string) ([]scenario, error) {
	if only == "" {
		return scenarios(), nil
	}
	names := strings.Split(only, ",")
	for _, name := range names {
		if !slices.Contains(scenarioNames(), name) {
			return nil, fmt.Errorf("there is no part %q: they are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	return slices.DeleteFunc(scenarios(), func(s scenario) bool { return !slices.Contains(names, s.name) }), nil
}

func alone(measure func(r *rig.Rig) metrics) [][]way { return [][]way{{{measure: measure}}} }

// section measures a scenario. In each round the ways of a group follow each other
// closely, and begin with another one each time, so that whatever else the machine does
// meets them all.
func (b *bench) section(r *rig.Rig, s scenario) *section {
	sec := &section{title: s.title, text: textOf(s.title)}
	if s.missing != nil {
		if why := s.missing(r.Dir); why != "" {
			sec.text = "Not measured: " + why + "."
			return sec
		}
	}
	d := data{}
	r.Within(s.name, func(r *rig.Rig) {
		groups := s.begin(b, r)
		rounds := min(b.rounds, cmp.Or(s.rounds, b.rounds))
		for round := range rounds {
			b.progress("round %d of %d", round+1, rounds)
			for _, ways := range groups {
				for turn := range ways {
					d.measure(r, ways[(round+turn)%len(ways)])
				}
			}
		}
	})
	s.report(b, d, sec)
	return sec
}

func (d data) measure(r *rig.Rig, w way) {
	rig.Check(rig.Try(func() {
		r.Within("round", func(r *rig.Rig) {
			for metric, value := range w.measure(r) {
				key := strings.TrimSpace(w.name + " " + metric)
				d[key] = append(d[key], value)
			}
		})
	}), cmp.Or(w.name, "round"))
}

func (d data) rounds(key string) []float64 {
	values, ok := d[key]
	if !ok {
		rig.Check(fmt.Errorf("%q was not measured: there is %q", key, slices.Sorted(maps.Keys(d))))
	}
	return values
}

func (d data) of(key string) spread { return spreadOf(d.rounds(key)) }

// ratio compares two values round by round.
func (d data) ratio(a, b string) spread {
	return d.paired(a, b, func(a, b float64) float64 { return a / b })
}

// difference is a less b, round by round.
func (d data) difference(a, b string) spread {
	return d.paired(a, b, func(a, b float64) float64 { return a - b })
}

func (d data) paired(a, b string, compare func(a, b float64) float64) spread {
	values := slices.Clone(d.rounds(a))
	for i, other := range d.rounds(b) {
		values[i] = compare(values[i], other)
	}
	return spreadOf(values)
}
