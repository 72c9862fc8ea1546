// Package config is the configuration file of a bridge: a type for each of its parts and for
// each kind of consumer. One file holds a part with its keys, defaults, limits and checks, and
// nothing repeats them elsewhere.
//
// [Load] reads a file and returns a complete, checked configuration.
package config

import (
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/streams"
)

// Config is the whole file. Every key is optional.
type Config struct {
	// Roles are the parts of the bridge that this process runs: ingress (the listener for
	// webhooks), consumers, reconciler (the predictions), admin (the API and
	// the console for operators). Default all of them.
	Roles []string `yaml:"roles"`
	// Only are the consumers that this process runs with its role consumers. The others are
	// run by other processes with the same configuration. Default all of them.
	Only []string `yaml:"only"`
	// DataDir is the folder of everything that must survive a restart. It must be on a
	// local file system, such as ext4 or xfs. Default ./hookspan-data.
	DataDir string `yaml:"data_dir"`
	// Log is what the process writes about itself.
	Log Log `yaml:"log"`
	// Ingress is the public listener, which takes webhooks.
	Ingress Ingress `yaml:"ingress"`
	// Journal is what every accepted delivery goes through, on this machine.
	Journal Journal `yaml:"journal"`
	// Admin is the listener for operators: health, metrics and the API.
	Admin Admin `yaml:"admin"`
	// NATS is where events are kept: in the embedded server or in an external one.
	NATS NATS `yaml:"nats"`
	// Sources are the senders by name, which is the last part of the URL
	// /webhooks/<name>. Default one, get3w, whose secret is env:GET3W_WEBHOOK_SECRET.
	Sources map[string]Source `yaml:"sources"`
	// View is about what is listed, searched and shown.
	View View `yaml:"view"`
	// Predictions is about the predictions that events tell of.
	Predictions Predictions `yaml:"predictions"`
	// Consumers are what acts on events, by name, which is that of the durable too. A
	// consumer archive of kind archive stands beside them unless archive.enabled is false.
	Consumers Consumers `yaml:"consumers"`

	// ImpliedSources is true when the file names no source, so that Sources is the default.
	ImpliedSources bool `yaml:"-"`
}

// Roles of a process.
const (
	RoleIngress    = "ingress"
	RoleConsumers  = "consumers"
	RoleReconciler = "reconciler"
	RoleAdmin      = "admin"
)

var roles = []string{RoleIngress, RoleConsumers, RoleReconciler, RoleAdmin}

// DefaultDataDir is the data folder of a bridge whose file names none.
const DefaultDataDir = "./hookspan-data"

// defaults returns the values that the file is decoded onto. [Config.fill] later adds keys whose
// default depends on others.
func defaults() *Config {
	return &Config{
		Roles:       slices.Clone(roles),
		DataDir:     DefaultDataDir,
		Log:         defaultLog,
		Ingress:     defaultIngress,
		Journal:     defaultJournal,
		NATS:        defaultNATS,
		View:        defaultView,
		Predictions: defaultPredictions,
	}
}

// fill adds defaults that depend on other keys. It runs before the check, so that the check sees
// the values in use.
func (c *Config) fill() {
	if len(c.Sources) == 0 {
		c.ImpliedSources, c.Sources = true, defaultSources()
	}
	for name, s := range c.Sources {
		s.fill()
		c.Sources[name] = s
	}
	if c.Ingress.Ack == "" {
		c.Ingress.Ack = AckLocal
		if c.NATS.External() {
			c.Ingress.Ack = AckQuorum
		}
	}
	c.Consumers = c.Consumers.enabled()
	for _, cons := range c.Consumers {
		cons.fill(c)
	}
}

// Has reports whether this process has the role.
func (c *Config) Has(role string) bool { return slices.Contains(c.Roles, role) }

// Runs reports whether this process runs the consumer of that name.
func (c *Config) Runs(consumer string) bool {
	return c.Has(RoleConsumers) && (len(c.Only) == 0 || slices.Contains(c.Only, consumer))
}

// AsksProviders reports whether this process asks providers for predictions, or submits
// predictions to them.
func (c *Config) AsksProviders() bool { return c.Has(RoleReconciler) || c.Has(RoleAdmin) }

// Submits reports whether this process submits predictions.
func (c *Config) Submits() bool { return c.Has(RoleAdmin) && c.Ingress.PublicURL != "" }

// Names returns the names on the wire.
func (c *Config) Names() bridge.Names { return bridge.Names{Prefix: c.NATS.Prefix} }

// Duplicates returns how long the stream must know the id of an event: an hour longer than any
// sender repeats the event, and at least two hours.
func (c *Config) Duplicates() time.Duration {
	window := streams.MinDuplicates
	for _, s := range c.Sources {
		if kind, err := s.Sender(); err == nil {
			window = max(window, kind.RetrySpan+time.Hour)
		}
	}
	return window
}
