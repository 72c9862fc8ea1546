package app

import (
	"net"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// Holder says which process has a data folder, and where it listens.
type Holder = datafolder.Holder

var (
	// ErrNotRunning means that no process has the data folder.
	ErrNotRunning = datafolder.ErrNotRunning
	// ErrFolderInUse means that another process has the data folder.
	ErrFolderInUse = datafolder.ErrInUse
)

// ReadHolder returns the process that has the data folder dir. The error wraps [ErrNotRunning]
// when none has.
func ReadHolder(dir string) (Holder, error) { return datafolder.ReadHolder(dir) }

// NATSUser returns the name of the embedded server's user for other programs, or for one
// pull consumer unless that is "".
func NATSUser(consumer string) string {
	if consumer == "" {
		return stream.AppUser
	}
	return stream.PullUser(consumer)
}

// NATSPassword reads the password of a user of the embedded server from the data folder
// dir. The error wraps [fs.ErrNotExist] when the bridge has made no such user yet.
func NATSPassword(dir, user string) (string, error) { return datafolder.ReadSecret(dir, user) }

// takeFolder locks the data folder and records the holder: already now, so that a verb with
// --config finds a bridge that has only begun.
func (a *App) takeFolder() error {
	if err := a.openFolder(); err != nil {
		return err
	}
	if m, err := readMove(a.folder.Dir()); err == nil && m != nil && !a.moving && m.To.Store != placeOf(a.cfg).Store {
		a.log.Warn("a move to another NATS waits for a start with that configuration", zap.String("to", m.To.Store), zap.String("stage", string(m.Stage)))
	}
	a.holder = datafolder.Holder{PID: os.Getpid()}
	if a.opts.File != "" {
		a.holder.Config = config.Absolute(a.opts.File)
	}
	return a.folder.Announce(a.holder)
}

// announceReady records the addresses of all listeners, for verbs that look for this bridge.
func (a *App) announceReady() error {
	a.started.Store(true)
	r := a.Ready()
	a.holder.Ready, a.holder.NATSURL, a.holder.AdminURL, a.holder.WebhooksURL = true, r.NATS, r.Admin, a.webhooksURL()
	if err := a.folder.Announce(a.holder); err != nil {
		return err
	}
	a.tellReady()
	return nil
}

// Ready is where a bridge listens and keeps its data. It is printed as JSON.
type Ready struct {
	// Webhooks are the addresses for webhooks by source, none without the role ingress.
	Webhooks map[string]string `json:"webhooks"`
	// NATS is the address of the embedded NATS, empty when it does not listen.
	NATS string `json:"nats,omitempty"`
	// Admin is the address of the admin listener, empty when there is none.
	Admin string `json:"admin,omitempty"`
	// Config is the file of the configuration, empty when everything has its default.
	Config  string `json:"config,omitempty"`
	DataDir string `json:"data_dir"`
	PID     int    `json:"pid"`
}

// Ready returns where the bridge listens and keeps its data.
func (a *App) Ready() Ready {
	r := Ready{Webhooks: map[string]string{}, Config: a.holder.Config, DataDir: a.cfg.DataDir, PID: os.Getpid()}
	if e := a.store.embedded; e != nil && e.URL() != "" {
		r.NATS = "nats://" + Reachable(strings.TrimPrefix(e.URL(), "nats://"))
	}
	if a.ingress != nil {
		for name := range a.cfg.Sources {
			r.Webhooks[name] = a.webhooksURL() + "/webhooks/" + name
		}
	}
	if a.operators != nil {
		r.Admin = scheme(a.cfg.Admin.TLS) + Reachable(a.operators.Addr().String())
	}
	return r
}

func (a *App) webhooksURL() string {
	if a.ingress == nil {
		return ""
	}
	return scheme(a.cfg.Ingress.TLS) + Reachable(a.ingress.Addr().String())
}

func scheme(tls config.Certificate) string {
	if tls.Cert != "" {
		return "https://"
	}
	return "http://"
}

// Reachable returns a bound address with a host that a client on this machine can use.
func Reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
