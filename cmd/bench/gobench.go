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

// Packages whose Go benchmarks are run.
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

// way runs one benchmark, in a process of its own.
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
