package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

type doctorCmd struct {
	apiFlag
	watchFlag
}

// Run asks the bridge to examine itself. Without one that runs it examines the configuration, and
// names the checks that need a bridge. It fails when there is a problem, unless it is watched.
func (c *doctorCmd) Run(e *env) error {
	d, err := c.examine(e)
	if err != nil {
		return err
	}
	err = e.print(d, func(out *printer) { printDoctor(out, d) })
	if err == nil && d.Grade == adminapi.GradeUnsafe {
		return errSilent
	}
	return err
}

func (c *doctorCmd) examine(e *env) (d adminapi.Doctor, err error) {
	if c.API == "" {
		meant, err := c.choose(e)
		if err != nil {
			return d, err
		}
		if meant.dir != "" {
			if _, err := meant.await(e.ctx, 0); errors.Is(err, app.ErrNotRunning) {
				return examineFile(e, meant)
			}
		}
	}
	return d, c.get(e, apiRoute("doctor"), nil, &d)
}

func examineFile(e *env, meant site) (d adminapi.Doctor, err error) {
	if meant.file == "" {
		return d, fmt.Errorf("the bridge of %s does not run, and the folder does not tell its configuration: name that with --config, or start the bridge", meant.dir)
	}
	cfg, err := config.Load(meant.file)
	if err != nil {
		return d, err
	}
	cfg.DataDir = meant.dir
	return app.Doctor(e.ctx, cfg, e.getenv), nil
}

var (
	grades = map[string]tone{adminapi.GradeSafe: good, adminapi.GradeFair: waits, adminapi.GradeUnsafe: bad}
	levels = map[adminapi.FindingLevel]tone{adminapi.FindingOK: good, adminapi.FindingWarning: waits, adminapi.FindingProblem: bad}
)

func printDoctor(out *printer, d adminapi.Doctor) {
	counts := map[adminapi.FindingLevel]int{}
	for _, f := range d.Findings {
		counts[f.Level]++
	}
	var words []string
	for _, level := range adminapi.FindingLevels() {
		switch n := counts[level]; {
		case n == 0:
		case n == 1 || level == adminapi.FindingOK:
			words = append(words, fmt.Sprintf("%d %s", n, level))
		default:
			words = append(words, fmt.Sprintf("%d %ss", n, level))
		}
	}
	out.raw(out.tint(grades[d.Grade], printable.String(d.Grade)))
	out.printf(": %s\n", strings.Join(words, ", "))
	for _, f := range d.Findings {
		about := f.Check
		if f.Subject != "" {
			about += " " + f.Subject
		}
		out.raw(out.tint(levels[f.Level], printable.String(fmt.Sprintf("%-8s", f.Level))))
		out.printf(" %s: %s\n", about, f.Why)
		if f.Remedy != "" {
			out.printf("         -> %s\n", f.Remedy)
		}
	}
	together := map[string][]string{}
	var reasons []string
	for _, u := range d.Unknown {
		if together[u.Why] == nil {
			reasons = append(reasons, u.Why)
		}
		together[u.Why] = append(together[u.Why], u.Check)
	}
	for _, why := range reasons {
		out.printf("%-8s %s: %s\n", "unknown", strings.Join(together[why], ", "), why)
	}
}
