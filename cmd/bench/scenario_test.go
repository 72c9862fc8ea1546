package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func TestChooseScenarios(t *testing.T) {
	all, err := chooseScenarios("")
	require.NoError(t, err)
	require.Len(t, all, len(scenarios()))
	some, err := chooseScenarios("drain,slow")
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.Equal(t, "slow", some[0].name, "they run in the order of all parts")
	_, err = chooseScenarios("drain,nothing")
	require.ErrorContains(t, err, `no part "nothing"`)
}

func newRig(t *testing.T) *rig.Rig {
	t.Helper()
	r, err := rig.New(t.Context(), "bench", "scenario.go") // nothing here runs the program
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close(false)) })
	return r
}

// Each round begins with another way, and its values are compared with those of the same
// round.
func TestSection(t *testing.T) {
	r := newRig(t)
	var order string
	values := map[string][]float64{"a": {1, 6, 2}, "b": {2, 2, 1}}
	measure := func(name string) way {
		return way{name, func(*rig.Rig) metrics {
			order += name
			value := values[name][0]
			values[name] = values[name][1:]
			return metrics{"rate": value}
		}}
	}
	b := &bench{rounds: 3, stderr: io.Discard}
	var sec *section
	require.NoError(t, rig.Try(func() {
		sec = b.section(r, scenario{
			name: "test", title: "Title",
			begin: func(*bench, *rig.Rig) [][]way { return [][]way{{measure("a"), measure("b")}} },
			report: func(_ *bench, d data, s *section) {
				require.Equal(t, spread{0.5, 2, 3}, d.ratio("a rate", "b rate"))
				require.Equal(t, spread{-1, 1, 4}, d.difference("a rate", "b rate"))
				s.row(integer(d.of("a rate")))
			},
		})
	}))
	require.Equal(t, "abbaab", order)
	require.Equal(t, [][]string{{"2 (1 to 6)"}}, sec.rows)
	require.ErrorContains(t, rig.Try(func() { data{}.of("a rate") }), `"a rate" was not measured`)
}

func TestMissing(t *testing.T) {
	s := scenario{title: "Title", missing: func(string) string { return "needs strace" }}
	require.Equal(t, &section{title: "Title", text: "Not measured: needs strace."}, (&bench{}).section(&rig.Rig{}, s))
}

func TestReport(t *testing.T) {
	s := &section{title: "Title", text: "Text.", head: []string{" way", "events/s"}}
	s.row("whole", "7")
	two := spread{median: 2}
	s.atLeast(2, two, once("%.0f"), "at least 2")
	s.stretching(3, two)
	s.under(2, two, once("%.0f"), "under 2")
	s.unmeasured("not installed", "better than others")
	r := results{rounds: 5, sections: []*section{s}}
	text := r.markdown()
	for _, want := range []string{
		"| at least 2 | 2 | yes | **no** |\n",
		"| under 2 | 2 | **no** |  |\n",
		"| better than others | not installed |  |  |\n",
		"## Title\n\nText.\n\n| way|events/s|\n|---|---:|\n|whole|7|\n",
	} {
		require.Contains(t, text, want)
	}
}

func TestMetricsOf(t *testing.T) {
	require.Equal(t, metrics{"ns/op": 294821, "events/s": 3392, "cpu-µs": 0.5},
		metricsOf("BenchmarkAccept/conns=1/way=bare-2 \t 4952\t 294821 ns/op\t 3392 events/s\t 0.5 cpu-µs"))
	for _, line := range []string{"", "PASS", "goos: linux", "BenchmarkAccept", "BenchmarkAccept-2 1 a b"} {
		require.Nil(t, metricsOf(line), line)
	}
}

func TestSpreadOf(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{4}, spread{4, 4, 4}},
		{[]float64{4, 1}, spread{1, 2.5, 4}},
		{[]float64{9, 1, 4}, spread{1, 4, 9}},
		{[]float64{9, 1, 4, 6}, spread{1, 5, 9}},
	} {
		require.Equal(t, c.want, spreadOf(c.values), "%v", c.values)
	}
	values := []float64{3, 1, 2}
	spreadOf(values)
	require.Equal(t, []float64{3, 1, 2}, values, "the values stay in their order")
}

// TestEveryBarIsOnThePage: the bars are those of docs/benchmarks.md, none is lost and none
// is missing there.
func TestEveryBarIsOnThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/benchmarks.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(page), "| bar | measured | met | stretch |\n|---|---:|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want, got []string
	for row := range strings.Lines(table) {
		want = append(want, strings.Split(row, " | ")[0])
	}
	// The page may be of a run that compared with another binary as well.
	b := &bench{}
	if strings.Contains(table, "the binary before") {
		b.before = "before"
	}
	for _, s := range scenarios() {
		sec, d := &section{}, data{}
		report := func() error { return rig.Try(func() { s.report(b, d, sec) }) }
		for err := report(); err != nil; err = report() { // it names one value after the other
			key, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), `"`), `" was not measured`)
			require.NotContains(t, d, key, err)
			d[key], sec = []float64{1}, &section{}
		}
		for _, b := range sec.bars {
			got = append(got, "| "+b.goal)
		}
		require.NotEmpty(t, sec.rows, s.name)
		require.NotEmpty(t, textOf(s.title), s.name)
	}
	require.Equal(t, want, got)
}

// TestWithoutPostgres: the bars stay, and the rows say what to install.
func TestWithoutPostgres(t *testing.T) {
	d := data{}
	for _, key := range []string{"bridge", "viewless", inNothing, inNATS} {
		for _, a := range acceptances {
			for _, metric := range []string{"events/s", "p50-ms", "p99-ms", "p99.9-ms", "fsync"} {
				d[fmt.Sprintf("%d %s %s", a.conns, key, metric)] = []float64{1}
			}
		}
	}
	for _, key := range []string{"processor", "idle", "loaded", "peak", "rate"} {
		d["bridge "+key], d["viewless "+key] = []float64{1}, []float64{1}
	}
	const why = "not here: install it"
	b := &bench{noPostgres: why}
	for _, s := range []scenario{accepting(), costing()} {
		sec := &section{}
		require.NoError(t, rig.Try(func() { s.report(b, d, sec) }))
		require.Contains(t, fmt.Sprint(sec.rows), why)
		require.Contains(t, sec.bars, bar{goal: sec.bars[0].goal, measured: why, unmeasured: true})
	}
	require.Nil(t, b.postgres(nil))
}
