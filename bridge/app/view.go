package app

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	viewFile = "view.db"
	// busyFrom is how many deliveries worked on at once make the view yield to them: no
	// provider's usual traffic has as many.
	busyFrom = 8
)

// openView opens the view of this process, with the role admin or reconciler, and makes the
// leader of the polling and the hub of requests that wait for predictions, which read it.
func (a *App) openView() error {
	if !a.cfg.Has(config.RoleAdmin) && !a.cfg.Has(config.RoleReconciler) {
		return nil
	}
	if err := a.openPredictions(); err != nil {
		return err
	}
	js, names := a.store.consume, a.cfg.Names()
	a.late = erase.NewLate(js, a.store.erased, a.log.Named("erase"))
	cfg := view.Config{
		Path: a.folder.Path(viewFile), Keep: time.Duration(a.cfg.View.Keep), Names: names, JS: js, Logger: a.log,
		Busy: func() bool { return a.ingress != nil && a.ingress.Working() >= busyFrom },
		Restore: func(ctx context.Context, put func(*bridge.PredictionState) error) error {
			return predictions.Kept(ctx, js, names, put)
		},
		Life:   a.cfg.OutputLife,
		Erased: a.late.Erased,
		Changed: func(changes []view.Change) {
			if a.predictions != nil {
				a.predictions.Changed(changes)
			}
			for _, c := range changes {
				a.waiting.Reread(c.State.Source, c.State.ID)
			}
		},
	}
	if a.predictions != nil {
		cfg.Due = a.predictions.Due
	}
	v, err := view.Open(cfg)
	if err != nil {
		return err
	}
	a.view = v
	a.onStop.add("view", v.Close)
	a.waiting = await.New(js, v, names, a.log)
	a.onStop.add("waiting for predictions", func() error { a.waiting.Close(); return nil })
	a.viewWatch = &viewWatch{view: v, names: names, soon: a.deletedSoon(), alarms: lasting.New(a.store.alarms)}
	return a.register(a.viewWatch, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "hookspan_prediction_waiters", Help: "Requests that wait for the end of a prediction or follow one.",
	}, func() float64 { return float64(a.waiting.Waiting()) }))
}

// runView runs the view, and has the janitor know of it. Neither may end the ingress.
func (a *App) runView() error {
	if a.view == nil {
		return nil
	}
	a.group.Go(a.provisioner.whenProvisioned(a.ctx, func(ctx context.Context) error {
		for a.store.erased.Ready(ctx) != nil && backoff.Sleep(ctx, time.Second) {
		}
		return a.view.Run(ctx)
	}))
	a.group.Go(a.provisioner.whenProvisioned(a.ctx, func(ctx context.Context) error {
		return predictions.Register(ctx, a.store.consume, a.cfg.Names(), viewName(a.folder.Dir()), a.view, a.log)
	}))
	a.group.Go(func() error { a.viewWatch.run(a.ctx); return nil })
	a.group.Go(a.provisioner.whenProvisioned(a.ctx, a.runBacklog))
	return nil
}

// viewName names the view of a data folder: the same in each run.
func viewName(dir string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(dir))
	return fmt.Sprintf("%s-%08x", host, sum.Sum32())
}

// whoTime bounds the question who polls, so that time is left for what the view knows.
const whoTime = time.Second

// viewOperator is the view as operators see it.
type viewOperator struct {
	*view.View

	app *App
}

// Status returns how far the view is, and who polls.
func (o viewOperator) Status(ctx context.Context) (adminapi.ViewStatus, error) {
	st := o.View.Status()
	out := adminapi.ViewStatus{
		Streams: map[string]adminapi.ViewStream{}, UpToDate: st.UpToDate, Rebuilding: st.Rebuilding, Error: st.Error, Since: st.Since,
	}
	for name, s := range st.Streams {
		out.Streams[name] = adminapi.ViewStream(s)
	}
	asking, cancel := context.WithTimeout(ctx, whoTime)
	defer cancel()
	leading, err := predictions.Who(asking, o.app.store.consume, o.app.cfg.Names())
	if err != nil && out.Error == "" {
		out.Error, out.Since = err.Error(), time.Now().UTC() // NATS is away; what the view has is shown all the same
	}
	out.Leader, out.LedAt = leading.Process, leading.At
	known := leading.Sources
	if known == nil {
		known = map[string]adminapi.SourceStatus{}
	}
	for name := range o.app.cfg.Sources {
		if _, told := known[name]; !told { // no leader knows it
			known[name] = adminapi.SourceStatus{}
		}
	}
	out.Sources, err = predictions.Sources(ctx, o.View, known, time.Now())
	if errors.Is(err, view.ErrUnavailable) {
		out.Sources, err = known, nil // the error says why
	}
	return out, err
}
