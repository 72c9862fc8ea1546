package app

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/doctor"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// doctorTime bounds an examination, and askTime each question to another machine.
	doctorTime = 20 * time.Second
	askTime    = 5 * time.Second
	// doctorFresh is how long an examination serves others who ask.
	doctorFresh = 5 * time.Second
	// asksAtOnce bounds the questions that are under way.
	asksAtOnce = 8
)

// Doctor examines a deployment by its configuration, without a running bridge. What only a bridge
// can tell is in Unknown. Getenv looks up the variables that cfg names.
func Doctor(ctx context.Context, cfg *config.Config, getenv func(string) (string, bool)) adminapi.Doctor {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	e := examination{cfg: cfg, getenv: getenv}
	e.configured(ctx)
	for _, lack := range Lacks(ctx, cfg, getenv) {
		key, why, _ := strings.Cut(lack.Error(), ": ")
		e.report.Lack(key, why)
	}
	needs := []string{doctor.CheckAlarms, doctor.CheckOpen, doctor.CheckReady, doctor.CheckStreams, doctor.CheckView, doctor.CheckWindow}
	if cfg.NATS.External() {
		needs = append(needs, doctor.CheckNATS, doctor.CheckNATSTLS, doctor.CheckFsync, doctor.CheckReplicas, doctor.CheckRights)
	}
	slices.Sort(needs)
	for _, check := range needs {
		e.report.Unknown(check, "it needs a bridge that runs")
	}
	return e.report.Result(time.Now().UTC())
}

// doctorOperator examines a bridge that runs, for the API.
type doctorOperator struct {
	app *App

	mu   sync.Mutex
	last adminapi.Doctor
}

// Doctor returns an examination that is at most a few seconds old.
func (o *doctorOperator) Doctor(ctx context.Context) adminapi.Doctor {
	o.mu.Lock()
	defer o.mu.Unlock()
	if time.Since(o.last.At) < doctorFresh {
		return o.last
	}
	examining, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	e := examination{cfg: o.app.force.Load().cfg, getenv: o.app.getenv, userAgent: o.app.userAgent(), running: o.app}
	e.configured(examining)
	e.live(examining)
	d := e.report.Result(time.Now().UTC())
	if ctx.Err() == nil {
		o.last = d
	}
	return d
}

// examination collects the findings about one deployment.
type examination struct {
	cfg       *config.Config
	getenv    func(string) (string, bool)
	userAgent string
	running   *App // nil: no bridge runs
	report    doctor.Report
}

// configured examines what the configuration and this machine tell.
func (e *examination) configured(ctx context.Context) {
	e.secrets()
	e.sources()
	e.listeners()
	if !e.cfg.NATS.External() {
		store := doctor.Store{Embedded: true}
		e.report.Fsync(store)
		e.report.Replicas(store)
	}
	e.disks(ctx)
	e.askAll(ctx)
}

// question is a check that asks another machine, or a disk, and adds to a report of its own.
type question struct {
	check, subject string
	ask            func(ctx context.Context, r *doctor.Report)
}

// askAll asks all at once, and adds the findings in the order of the questions.
func (e *examination) askAll(ctx context.Context) {
	questions := slices.Concat(e.targets(), e.archives(), e.apis())
	reports := make([]doctor.Report, len(questions))
	var asking errgroup.Group
	asking.SetLimit(asksAtOnce)
	for i, q := range questions {
		asking.Go(func() error {
			bounded, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			q.ask(bounded, &reports[i])
			if ctx.Err() != nil { // what it found is that the time was up
				reports[i] = doctor.Report{}
				reports[i].Unknown(q.check, q.subject+": there was no time left to ask")
			}
			return nil
		})
	}
	_ = asking.Wait() // each report has its errors
	for i := range reports {
		e.report.Add(&reports[i])
	}
}

// exists reports whether a path exists.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
