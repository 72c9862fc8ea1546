package app

import (
	"context"
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
)

// Options is what an App needs of its surroundings.
type Options struct {
	// File is the configuration file, which is read again while the App runs. Empty: none.
	File string
	// Version is that of the program.
	Version string
	// Getenv looks up the variables that the configuration names. Default os.LookupEnv.
	Getenv func(name string) (string, bool)
	// Log takes the log. Default os.Stderr.
	Log io.Writer
	// Reload has the configuration read again whenever it delivers. Nil: never.
	Reload <-chan os.Signal
}

func (o *Options) fill() {
	if o.Getenv == nil {
		o.Getenv = os.LookupEnv
	}
	if o.Log == nil {
		o.Log = os.Stderr
	}
}

// App is the bridge as one process: everything that a configuration asks for. New builds
// an App, Start starts it, Stop ends it; each is called once, from one goroutine.
type App struct {
	cfg     *config.Config
	opts    Options
	seen    digests // the files as they were before they were read
	log     *zap.Logger
	metrics *prometheus.Registry
	folder  *stream.Folder
	holder  stream.Holder
	onStop  cleanup

	operators *admin.Server // nil: this process has no such listener
	checks    *admin.Checks
	started   atomic.Bool

	// What Start makes, in this order.

	sources   sourceSet
	store     *store
	kept      keptDeliveries
	hub       *await.Hub
	ingress   *ingress.Server // nil: this process has no such role
	providers *providerSet
	submits   *submits
	secrets   secretUsers
	consumers []*consumers.Consumer
	ledger    *predictions.Leader // nil: this process has no such role
	reloader  *reloader

	// ctx ends when the App is told to stop or a part has failed. Group has every
	// goroutine that runs until then.
	ctx   context.Context
	stop  context.CancelFunc
	group *errgroup.Group
}

// Load reads the configuration of an App and notes which files it was made of, so that
// no later change of them is missed. An error names file, line and remedy.
func Load(file string) (*config.Config, digests, error) {
	seen := digests{}
	seen.add(file)
	cfg, err := config.Load(file)
	if err != nil {
		return nil, nil, err
	}
	seen.add(cfg.SecretFiles()...)
	return cfg, seen, nil
}

// New takes the data folder and serves health and metrics on the admin listener, so that
// operators can see the App start. The caller must call Stop, unless New returns an error,
// which wraps ErrFolderInUse when another process has the folder.
func New(cfg *config.Config, opts Options) (*App, error) {
	seen := digests{}
	seen.add(opts.File)
	seen.add(cfg.SecretFiles()...)
	return newApp(cfg, seen, opts)
}

func newApp(cfg *config.Config, seen digests, opts Options) (_ *App, err error) {
	opts.fill()
	a := &App{cfg: cfg, opts: opts, seen: seen, checks: &admin.Checks{}}
	running, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.group, a.ctx = errgroup.WithContext(running)
	defer func() {
		if err != nil {
			stop()
			err = errors.Join(err, a.onStop.run())
		}
	}()
	if a.metrics, err = telemetry.NewRegistry(telemetry.Build{Version: opts.Version, NATS: server.VERSION}); err != nil {
		return nil, err
	}
	if a.log, err = newLogger(cfg, opts.Log, a.metrics); err != nil {
		return nil, err
	}
	if err = a.takeFolder(); err != nil {
		return nil, err
	}
	a.checks.Add(a.phase)
	return a, a.startAdmin()
}

// newLogger makes the log that the configuration asks for. Metrics count its entries;
// nil: nobody does.
func newLogger(cfg *config.Config, to io.Writer, metrics prometheus.Registerer) (*zap.Logger, error) {
	return telemetry.NewLogger(telemetry.LogConfig{Level: cfg.Log.Level, Format: cfg.Log.Format}, to, metrics)
}

// takeFolder locks the data folder and writes down who has it: already now, so that a
// verb with --config finds a bridge that has only begun.
func (a *App) takeFolder() (err error) {
	if a.folder, err = stream.OpenFolder(a.cfg.DataDir); err != nil {
		return err
	}
	a.onStop.add("data folder", a.folder.Close)
	a.holder = stream.Holder{PID: os.Getpid()}
	if a.opts.File != "" {
		a.holder.Config = config.Absolute(a.opts.File)
	}
	return a.folder.Announce(a.holder)
}

// phase is why a process that has not begun, or is about to end, is not ready.
func (a *App) phase() string {
	switch {
	case a.ctx.Err() != nil:
		return "shutting down"
	case !a.started.Load():
		return "starting"
	}
	return ""
}

// Start starts every part, and returns once all of them run and listen. It gives up when
// ctx ends; after that ctx means nothing to what runs. The caller calls Stop after an
// error too.
func (a *App) Start(ctx context.Context) error {
	defer context.AfterFunc(ctx, a.stop)()
	for _, start := range []func() error{
		a.openStore, a.build, a.provision, a.startIngress, a.startAPI, a.startRedelivery, a.startPredictions, a.startConsumers, a.startReloading, a.tellReady,
	} {
		if err := start(); err != nil {
			return err
		}
	}
	return nil
}

// Done is closed when a part has failed, and when the App is told to stop. Stop then
// returns why.
func (a *App) Done() <-chan struct{} { return a.ctx.Done() }

// Ready says where everything listens. It is for an App that has started.
func (a *App) Ready() Ready { return newReady(a.cfg, a.ingress, a.operators, a.store) }

// Config is the configuration that the App was built of. It must not be changed.
func (a *App) Config() *config.Config { return a.cfg }

// FirstSecret is where the first usable secret of a source is from, false when the source
// has none. It is for an App that has started.
func (a *App) FirstSecret(source string) (config.SecretRef, bool) {
	return a.sources.firstSecret(source)
}

// Stop ends the parts in reverse order of their start and returns what failed in them,
// or while they ended. It returns after StopTime at the latest, whatever hangs.
func (a *App) Stop() error {
	a.stop()
	done := make(chan error, 1)
	go func() { done <- a.end() }()
	return endWithin(a.ctx, a.StopTime(), done)
}

func (a *App) end() error {
	a.log.Info("stopping")
	a.stop()
	return errors.Join(a.group.Wait(), a.onStop.run())
}

// stopMargin is how long everything but the requests in flight may take to end:
// handlers have 20 s, what was sent to a provider 30 and 15 more to be recorded, and
// then the spool has 10.
const stopMargin = time.Minute

// StopTime is how long Stop takes at most.
func (a *App) StopTime() time.Duration {
	return time.Duration(a.cfg.Ingress.ShutdownDelay+a.cfg.Ingress.Deadline) + stopMargin
}

// Run serves the configuration in opts.File until ctx ends or a part fails. It calls
// ready once everything runs; an error of ready ends the App. A start that hangs is
// given up like a Stop that hangs.
func Run(ctx context.Context, opts Options, ready func(*App) error) error {
	cfg, seen, err := Load(opts.File)
	if err != nil {
		return err
	}
	a, err := newApp(cfg, seen, opts)
	if err != nil {
		return err
	}
	// What libraries write to the standard log.
	defer zap.RedirectStdLog(a.log.Named("std"))()
	done := make(chan error, 1)
	go func() {
		err := a.Start(ctx)
		if err == nil {
			err = ready(a)
		}
		if err == nil {
			select {
			case <-ctx.Done():
			case <-a.Done():
			}
		}
		done <- errors.Join(err, a.end())
	}()
	return endWithin(ctx, a.StopTime(), done)
}
