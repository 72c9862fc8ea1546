// Package app is the bridge as one process. [New] builds an [App] of a configuration,
// [App.Start] starts its parts one after the other, and [App.Stop] ends them in reverse. [Run]
// does all of that until a context ends. Nothing here is global: one program can have several
// Apps, each with a data folder and addresses of its own.
//
// The package also has what the command line does without a running bridge: [Provision],
// [OpenJournal], [Lacks] and [Changes].
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/audit"
	"github.com/hookspan/hookspan/bridge/internal/console"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/erase"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/live"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/predictions/confirmer"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/consumers"
)

// Options are the surroundings of an App. The zero value is usable.
type Options struct {
	// File is the configuration file, which is read again while the App runs. Empty: none.
	File string
	// Flags are keys of File that the command line sets.
	Flags config.Flags
	// Version is the program's version, for metrics and for the header User-Agent.
	Version string
	// Getenv looks up the variables that the configuration names. Default [os.LookupEnv].
	Getenv func(name string) (string, bool)
	// Log is where the log is written. Default [os.Stderr].
	Log io.Writer
	// Reload has the configuration read again whenever it delivers. Nil: the configuration is
	// read again only when File or the file of a secret changes.
	Reload <-chan os.Signal
	// Webhooks and Admin are sockets that listen already, instead of on ingress.listen and
	// admin.listen, and that somebody else keeps open for the next process, such as systemd.
	// The App closes its own. While it ends it accepts webhooks as long as it can, and leaves
	// those that come later to the next process. Nil: none.
	Webhooks, Admin *net.TCPListener
	ownSocket       bool // Webhooks is the App's own, and nobody else keeps it open
	moving          bool // the streams are being moved, so that no NATS may be used
	// Notify tells the service manager how the App does, as sd_notify(3) assignments, such as
	// READY=1 once every part runs. Nil: nobody is told. Watchdog is how often the manager must
	// be told that the listeners answer; zero: it does not ask.
	Notify   func(assignments ...string) error
	Watchdog time.Duration
}

// App is a bridge. [New] makes one. Start is called once. Stop is called after Start has
// returned, by any goroutine and as often as one likes; the end of its context makes Start
// return. The other methods are safe for concurrent use once Start has returned nil.
type App struct {
	*env

	opts     Options
	seen     digests // of the files before they were read
	registry *prometheus.Registry
	holder   datafolder.Holder

	operators *admin.Server    // nil: this process has no listener for operators
	audit     *audit.Log       // nil: this process has no API
	pages     *console.Console // set with audit
	checks    *admin.Checks
	started   atomic.Bool
	force     *atomic.Pointer[inForce]

	// The results of the parts, see parts.go; nil when the roles of the process leave the part
	// out.

	sources     sourceSet
	store       *store
	provisioner *provisioner
	kept        keptDeliveries
	ingress     *ingress.Server
	providers   *providerSet
	confirmer   *confirmer.Confirmer
	submits     *submits
	secrets     consumerSecrets
	consumers   []*consumers.Consumer
	view        *view.View
	viewWatch   *viewWatch  // set with view
	late        *erase.Late // set with view
	waiting     *await.Hub  // set with view
	predictions *predictions.Leader
	live        *live.Streams
	reloader    *reloader

	// ctx ends when the App is told to stop or a part has failed. group has every goroutine that
	// runs until then, except those that accept webhooks.
	ctx   context.Context
	stop  context.CancelFunc
	group *errgroup.Group
	// accepting has the goroutines that accept webhooks. On a socket that was passed they run
	// until leaveSocket is called, which is when group has ended: until then nobody need wait.
	accepting   errgroup.Group
	leaveSocket context.CancelFunc

	stopTime time.Duration
	ending   sync.Once
	ended    error
}

// New locks the data folder and serves health and metrics on the admin listener, so that
// operators can see the App start. The caller calls Stop, unless New returns an error. The error
// wraps [ErrFolderInUse] when another process has the folder.
func New(cfg *config.Config, opts Options) (*App, error) {
	seen := digests{}
	seen.add(opts.File)
	seen.add(cfg.SecretFiles()...)
	return newApp(cfg, opts.readDocument(), seen, opts)
}

func newApp(cfg *config.Config, doc *config.Document, seen digests, opts Options) (_ *App, err error) {
	registry, err := telemetry.NewRegistry(telemetry.Build{Version: opts.Version, NATS: server.VERSION})
	if err != nil {
		return nil, err
	}
	e, err := newEnv(cfg, opts, registry)
	if err != nil {
		return nil, err
	}
	a := &App{env: e, opts: opts, seen: seen, registry: registry, checks: &admin.Checks{}, force: &atomic.Pointer[inForce]{}}
	a.force.Store(&inForce{cfg: cfg, doc: doc})
	a.stopTime = time.Duration(cfg.Ingress.ShutdownDelay+cfg.Ingress.Deadline) + stopMargin
	running, stop := context.WithCancel(context.Background())
	a.stop = stop
	a.group, a.ctx = errgroup.WithContext(running)
	a.leaveSocket = func() {}
	a.keepSockets()
	defer func() {
		if err != nil {
			stop()
			err = errors.Join(err, a.onStop.run())
		}
	}()
	if err := errors.Join(a.openTraces(a.ctx), a.takeFolder()); err != nil {
		return nil, err
	}
	a.checks.Add(a.phase)
	return a, a.startAdmin()
}

// phase is why a process that has not begun, or is about to end, is not ready; "" in between.
func (a *App) phase() string {
	switch {
	case a.ctx.Err() != nil:
		return "shutting down"
	case !a.started.Load():
		return "starting"
	}
	return ""
}

// Start starts every part, and returns once all of them run and listen. The end of ctx ends
// what Start waits for; once Start has returned, ctx means nothing to what runs. The caller
// calls Stop after an error too.
func (a *App) Start(ctx context.Context) error {
	defer context.AfterFunc(ctx, a.stop)()
	for _, p := range a.parts() {
		if err := p.start(); err != nil {
			return fmt.Errorf("starting the %s: %w", p.name, err)
		}
	}
	return a.announceReady() //nolint:contextcheck // what runs ends with a.ctx
}

// Done is closed when a part has failed, and when the App is told to stop. Stop then returns the
// failure.
func (a *App) Done() <-chan struct{} { return a.ctx.Done() }

// Config returns the configuration of the App. It must not be changed.
func (a *App) Config() *config.Config { return a.cfg }

// FirstSecret returns the place of the first usable secret of a source, false when there is
// none.
func (a *App) FirstSecret(source string) (config.SecretRef, bool) {
	return a.sources.firstSecret(source)
}
