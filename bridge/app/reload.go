package app

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
)

// reloadEvery is how often the files are compared. They are polled because only their content
// counts: a mounted secret changes by a link far above the file.
const reloadEvery = time.Second

// reloader reads sources, their secrets and keys, the secrets of consumers and the tokens again
// when the configuration or the file of a secret changes, and on request. A configuration that cannot be
// used changes nothing.
type reloader struct {
	opts      Options // of the App
	getenv    func(string) (string, bool)
	in        *ingress.Server // nil: this process takes no webhooks
	operators *admin.Server   // nil: it has no listener for operators
	secrets   consumerSecrets
	log       *zap.Logger

	providers *providerSet
	submits   *submitSources

	succeeded, failed prometheus.Counter
	last, fine        prometheus.Gauge
	force             *atomic.Pointer[inForce]
	// begun tells the service manager that everything is read again, until done is called.
	begun func() (done func())

	// Owned by the goroutine of run.

	running config.Config // of the start, but with the current sources and tokens
	sources sourceSet     // in use
	tried   digests       // of the files when they were last read
	pending digests       // of the files at the last look, when they differ from tried
}

func (a *App) openReloader() (err error) {
	if a.reloader, err = newReloader(a.env, a.opts, a.sources, a.seen, a.submits.sources); err != nil {
		return err
	}
	a.reloader.in, a.reloader.operators, a.reloader.secrets, a.reloader.force = a.ingress, a.operators, a.secrets, a.force
	a.reloader.begun = a.reloading
	return nil
}

func (a *App) runReloader() error {
	a.group.Go(func() error { a.reloader.run(a.ctx, a.opts.Reload); return nil })
	return nil
}

// newReloader takes the digests from before the configuration and sources were read, so that
// later changes are noticed.
func newReloader(e *env, opts Options, sources sourceSet, seen digests, submits *submitSources) (*reloader, error) {
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookspan_config_reloads_total",
		Help: "Times that the configuration and its secrets were read again, by result.",
	}, []string{"result"})
	last := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hookspan_config_last_reload_success_timestamp_seconds",
		Help: "When the configuration was last read with success, at start or later.",
	})
	fine := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hookspan_config_last_reload_successful",
		Help: "1 while the configuration and its secrets are used as they were last read, 0 when they could not be used.",
	})
	last.SetToCurrentTime()
	fine.Set(1)
	return &reloader{
		opts: opts, getenv: e.getenv, log: e.log.Named("reload"), submits: submits, providers: submits.providers,
		succeeded: reloads.WithLabelValues("success"), failed: reloads.WithLabelValues("failure"), last: last, fine: fine,
		running: *e.cfg, sources: sources, tried: seen, force: &atomic.Pointer[inForce]{},
	}, e.register(reloads, last, fine)
}

func (r *reloader) run(ctx context.Context, hangups <-chan os.Signal) {
	tick := time.NewTicker(reloadEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.reload()
		case <-tick.C:
			r.look()
		}
	}
}

// look reads the files again once two looks find the same content: until then somebody may be
// writing them.
func (r *reloader) look() {
	now := digests{}
	for path := range r.tried {
		now.add(path)
	}
	switch {
	case maps.Equal(now, r.tried):
		r.pending = nil
	case maps.Equal(now, r.pending):
		r.reload()
	default:
		r.pending = now
	}
}

// reload reads everything again and logs the result once.
func (r *reloader) reload() {
	r.pending = nil
	defer r.begun()()
	if err := r.try(); err != nil {
		r.failed.Inc()
		r.fine.Set(0)
		r.log.Error("the configuration was read again and cannot be used; what ran before goes on", zap.Error(err))
		return
	}
	r.succeeded.Inc()
	r.last.SetToCurrentTime()
	r.fine.Set(1)
}

func (r *reloader) try() error {
	// Files are digested before they are read, so that a file that changes in between is read
	// again.
	r.tried = digests{}
	r.tried.add(r.opts.File)
	r.tried.add(r.running.SecretFiles()...)
	cfg, doc, err := r.opts.load()
	if err != nil {
		r.readTokens(&r.running)
		return err
	}
	if cfg.ImpliedSources && !r.running.ImpliedSources {
		r.readTokens(&r.running)
		return fmt.Errorf("%s: it names no source any more, which is what a file looks like that was emptied: restart if that is meant", r.opts.File)
	}
	r.readTokens(cfg)
	// The sources belong to this process as long as its roles do not change; the
	// consumers, and the address that providers are told, are those that it began with.
	needs := config.RestartKeys(&r.running, cfg)
	cfg.Roles, cfg.Only, cfg.Consumers, cfg.Ingress.PublicURL = r.running.Roles, r.running.Only, r.running.Consumers, r.running.Ingress.PublicURL
	r.tried = r.tried.only(append(cfg.SecretFiles(), r.opts.File))
	sources, err := resolveSources(cfg, r.getenv)
	if err != nil {
		return err
	}
	if err := r.sources.checkSuccessor(sources); err != nil {
		return err
	}
	if err := r.secrets.read(r.getenv); err != nil {
		return err
	}
	keys, err := r.providers.read(cfg, r.getenv)
	if err != nil {
		return err
	}
	submits, err := r.submits.read(cfg, r.getenv)
	if err != nil {
		return err
	}
	signing, err := r.secrets.apply()
	if err != nil {
		return err
	}
	asking, err := r.providers.apply(keys)
	if err != nil {
		return err
	}
	needs = append(needs, r.providers.restartKeys(cfg)...)
	changed := r.sources.changes(sources)
	if r.in != nil && len(changed) > 0 {
		routes, err := sources.routes()
		if err != nil {
			return err
		}
		r.in.SetRoutes(routes)
	}
	r.submits.apply(submits)
	r.sources, r.running.Sources = sources, cfg.Sources
	running := r.running
	r.force.Store(&inForce{cfg: &running, doc: doc, restart: needs})
	r.log.Info("the configuration was read again", zap.Strings("sources_changed", changed), zap.Strings("secrets_changed", append(signing, asking...)))
	sources.warn(r.log, changed)
	if len(needs) > 0 {
		r.log.Warn("needs a restart: these keys differ from what runs and cannot change while it runs", zap.Strings("keys", needs))
	}
	return nil
}
