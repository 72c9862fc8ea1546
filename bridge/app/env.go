package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
)

type env struct {
	cfg     *config.Config
	getenv  func(name string) (string, bool)
	version string
	log     *zap.Logger
	metrics prometheus.Registerer // nil: no metrics are served
	tracer  trace.Tracer          // nil: no traces are sent
	folder  *datafolder.Folder    // nil: this process records nothing
	// successor: somebody else holds the socket for webhooks, and has the next process take what
	// this one leaves.
	successor bool
	moving    bool // see Options
	onStop    cleanup
}

// newEnv makes an env with its log. The metrics may be nil.
func newEnv(cfg *config.Config, opts Options, metrics prometheus.Registerer) (*env, error) {
	e := &env{cfg: cfg, getenv: opts.Getenv, version: opts.Version, metrics: metrics, successor: opts.Webhooks != nil && !opts.ownSocket, moving: opts.moving}
	if e.getenv == nil {
		e.getenv = os.LookupEnv //nolint:forbidigo // the default of whoever has no main of their own
	}
	if opts.Log == nil {
		opts.Log = os.Stderr
	}
	var err error
	e.log, err = telemetry.NewLogger(telemetry.LogConfig{Level: cfg.Log.Level, Format: cfg.Log.Format}, opts.Log, metrics)
	if err == nil && opts.File != "" {
		e.log.Info("configured by " + config.Absolute(opts.File))
	}
	return e, err
}

// openTraces begins to send traces when the environment names a collector. One that cannot be used
// is no reason not to start.
func (e *env) openTraces(ctx context.Context) error {
	traces, err := telemetry.NewTraces(ctx, telemetry.TraceConfig{Getenv: e.getenv, Version: e.version, Logger: e.log.Named("traces")})
	if err != nil {
		e.log.Error("no traces are sent", zap.Error(err))
	}
	if traces == nil {
		return nil
	}
	e.tracer = traces.Tracer()
	e.onStop.add("traces", traces.Close)
	return e.register(traces.Collectors()...)
}

// openFolder locks the data folder, and refuses one that is half restored.
func (e *env) openFolder() error {
	err := e.lockFolder()
	if err == nil && e.folder.Has(restoringFile) {
		err = fmt.Errorf("%s: %w", e.folder.Dir(), errRestoring)
	}
	return err
}

func (e *env) lockFolder() (err error) {
	if err := checkFolder(e.cfg); err != nil {
		return err
	}
	if e.folder, err = datafolder.Open(e.cfg.DataDir); err != nil {
		return err
	}
	e.onStop.add("data folder", e.folder.Close)
	return nil
}

func (e *env) register(collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := e.metrics.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// checkFolder returns the error for which a bridge does not start on the data folder, as far as
// that can be seen without a change.
func checkFolder(cfg *config.Config) error {
	dir := cfg.DataDir
	err := datafolder.Check(dir)
	if err == nil {
		err = datafolder.CheckFiles(dir, recordFile)
	}
	if err == nil && !cfg.NATS.External() {
		err = datafolder.CheckFolders(dir, datafolder.NATSPart, "secrets")
	}
	if err == nil && (cfg.Has(config.RoleAdmin) || cfg.Has(config.RoleReconciler)) {
		err = datafolder.CheckFiles(dir, viewFile+".lock")
	}
	for name, c := range cfg.Consumers {
		if _, is := c.(*config.Exec); is && err == nil && cfg.Runs(name) {
			err = datafolder.CheckFolders(dir, execFolder, filepath.Join(execFolder, name))
		}
	}
	return err
}
