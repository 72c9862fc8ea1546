package config

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/streams"
)

// config is the configuration file. Every key is optional.
type Config struct {
	// Roles are the parts that this process runs.
	Roles []string `yaml:"roles"`
	// DataDir holds everything that must survive a restart.
	DataDir   string                    `yaml:"data_dir"`
	Log       logConfig                 `yaml:"log"`
	Ingress   IngressConfig             `yaml:"ingress"`
	Admin     adminConfig               `yaml:"admin"`
	NATS      NATSConfig                `yaml:"nats"`
	Sources   map[string]sourceConfig   `yaml:"sources"`
	Consumers map[string]ConsumerConfig `yaml:"consumers"`
	// Predictions is about the ledger of predictions.
	Predictions predictionsConfig `yaml:"predictions"`
	// ImpliedSources: the file names none, so Sources is the default.
	ImpliedSources bool `yaml:"-"`
}

type logConfig struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // json, console
}

type IngressConfig struct {
	Listen           string   `yaml:"listen"`
	Deadline         duration `yaml:"deadline"`
	MaxBody          ByteSize `yaml:"max_body"`
	MaxInFlight      int      `yaml:"max_in_flight"`
	MaxInFlightBytes ByteSize `yaml:"max_in_flight_bytes"`
	// Ack says what a 200 waits for: quorum, of the stream in NATS, or local, the
	// spool on this machine.
	Ack            string `yaml:"ack"`
	MaxConnections int    `yaml:"max_connections"`
	// IdleTimeout is how long a connection without a request is kept.
	IdleTimeout duration `yaml:"idle_timeout"`
	// Of one address, or of one /64 of IPv6; zero is no limit.
	MaxConnectionsPerAddress int  `yaml:"max_connections_per_address"`
	RatePerAddress           rate `yaml:"rate_per_address"`
	BurstPerAddress          int  `yaml:"burst_per_address"`
	// TrustedProxies are addresses and networks.
	TrustedProxies []string   `yaml:"trusted_proxies"`
	TLS            certConfig `yaml:"tls"`
	ShutdownDelay  duration   `yaml:"shutdown_delay"`
	// PublicURL is the address at which providers reach this listener.
	PublicURL string `yaml:"public_url"`
}

type certConfig struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

type adminConfig struct {
	// Listen empty means no listener, absent is admin.DefaultListen.
	Listen *string `yaml:"listen"`
	// Hosts are the names that it may be called by beside localhost.
	Hosts []string `yaml:"hosts"`
}

type NATSConfig struct {
	// URL empty means embedded.
	URL string `yaml:"url"`
	// Listen is the embedded server's address; empty lets nobody else connect,
	// absent is queue.DefaultNATSListen.
	Listen   *string   `yaml:"listen"`
	Creds    string    `yaml:"creds"`
	NKey     string    `yaml:"nkey"`
	User     string    `yaml:"user"`
	Password SecretRef `yaml:"password"`
	TLS      tlsConfig `yaml:"tls"`
	// Provision says what is done with streams and durables: create, verify, none.
	Provision string       `yaml:"provision"`
	Replicas  string       `yaml:"replicas"` // auto, or a number
	Prefix    string       `yaml:"prefix"`
	Events    eventsConfig `yaml:"events"`
	Spool     spoolConfig  `yaml:"spool"`
}

type tlsConfig struct {
	CA   string `yaml:"ca"`
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

type eventsConfig struct {
	MaxBytes ByteSize `yaml:"max_bytes"`
	MaxAge   duration `yaml:"max_age"`
}

type spoolConfig struct {
	MaxBytes ByteSize `yaml:"max_bytes"`
}

type sourceConfig struct {
	Kind    string      `yaml:"kind"`
	Secrets []SecretRef `yaml:"secrets"`
	// RetiredSecrets explain a refusal, and accept nothing.
	RetiredSecrets []SecretRef `yaml:"retired_secrets"`
	MaxAge         duration    `yaml:"max_age"`
	// PathToken, when set, must be the last part of the URL.
	PathToken SecretRef `yaml:"path_token"`
	Query     []string  `yaml:"query"`
	// API is where the provider is asked.
	API APIConfig `yaml:"api"`
}

// apiConfig is the API of a provider. Without a key nothing is asked.
type APIConfig struct {
	BaseURL string    `yaml:"base_url"`
	Key     SecretRef `yaml:"key"`
	// Rate is how often it is asked at most.
	Rate rate `yaml:"rate"`
	// PollAfter is for how long a prediction is left to its webhook at least.
	PollAfter duration `yaml:"poll_after"`
}

// predictionsConfig is about the ledger of predictions.
type predictionsConfig struct {
	// Keep is how long finished predictions stay in it.
	Keep duration `yaml:"keep"`
	// GiveUpAfter is for how long a prediction without an end is asked for.
	GiveUpAfter duration `yaml:"give_up_after"`
}

type ConsumerConfig struct {
	Kind string `yaml:"kind"`
	// Enabled false has it as if the file did not name it; absent is true.
	Enabled *bool `yaml:"enabled"`
	// Implied: the file does not name it.
	Implied     bool         `yaml:"-"`
	Filter      filterConfig `yaml:"filter"`
	Start       string       `yaml:"start"` // new, all, a time
	Concurrency int          `yaml:"concurrency"`
	Rate        rate         `yaml:"rate"` // of events, zero is no limit
	Once        bool         `yaml:"once"`
	Timeout     duration     `yaml:"timeout"` // of an attempt, zero is none
	Retry       retryConfig  `yaml:"retry"`
	// Of kind archive; AllowPrivate of forward too.
	Store        string   `yaml:"store"`
	Hosts        []string `yaml:"hosts"`
	AllowPrivate bool     `yaml:"allow_private"`
	MaxOutput    ByteSize `yaml:"max_output"`
	MaxBytes     ByteSize `yaml:"max_bytes"` // of the whole archive, zero is no limit
	Parallel     int      `yaml:"parallel"`  // outputs of one event
	// Of kind exec.
	Command []string `yaml:"command"` // an absolute path and arguments
	Env     []string `yaml:"env"`     // names of variables that are passed on; nil is the default
	// Of kind forward.
	URL            string      `yaml:"url"`
	Mode           string      `yaml:"mode"`
	Secret         SecretRef   `yaml:"secret"` // or
	Secrets        []SecretRef `yaml:"secrets"`
	Refuse         []int       `yaml:"refuse"` // status codes
	ConnectTimeout duration    `yaml:"connect_timeout"`
	HeaderTimeout  duration    `yaml:"header_timeout"`
	AllowNetworks  []string    `yaml:"allow_networks"`
	// Of kind pull.
	Lease         duration `yaml:"lease"`
	MaxDeliveries int      `yaml:"max_deliveries"`
}

type filterConfig struct {
	// Event is the kind of the events, a bridge.Kind….
	Event  string     `yaml:"event"`
	Source stringList `yaml:"source"`
	Status stringList `yaml:"status"`
	Model  string     `yaml:"model"`
}

type retryConfig struct {
	First       duration `yaml:"first"`
	Max         duration `yaml:"max"`
	GiveUpAfter duration `yaml:"give_up_after"`
}

// Roles that a process can have.
const (
	RoleIngress    = "ingress"
	RoleConsumers  = "consumers"
	RoleReconciler = "reconciler"
	RoleAdmin      = "admin"
)

var roles = []string{RoleIngress, RoleConsumers, RoleReconciler, RoleAdmin}

const (
	ackQuorum = "quorum"
	AckLocal  = "local"

	ProvisionCreate = "create" // make them what they are to be
	ProvisionVerify = "verify" // tell what differs
	ProvisionNone   = "none"   // look at nothing

	// defaultPollRate is how often a provider's API is asked in a second, at most.
	defaultPollRate = rate(5)

	defaultSource = "get3w"
	// defaultSecretEnv is where the default source has its secret from.
	defaultSecretEnv = "GET3W_WEBHOOK_SECRET"
)

// defaultConfig is what runs without a file. The parts that a file replaces as a
// whole, sources and consumers, are in fillDefaults.
func DefaultConfig() Config {
	return Config{
		Roles:   slices.Clone(roles),
		DataDir: "./hookspan-data",
		Log:     logConfig{Level: "info", Format: "json"},
		Ingress: IngressConfig{
			Listen:           ":8080",
			Deadline:         duration(5 * time.Second),
			MaxBody:          4 << 20,
			MaxInFlight:      4096,
			MaxInFlightBytes: 256 << 20,
			Ack:              ackQuorum,
			MaxConnections:   ingress.DefaultMaxConnections,
			IdleTimeout:      duration(ingress.DefaultIdleTimeout),
		},
		NATS: NATSConfig{
			Provision: ProvisionCreate,
			Replicas:  "auto",
			Prefix:    bridge.DefaultPrefix,
			Events:    eventsConfig{MaxBytes: 10 << 30, MaxAge: duration(14 * 24 * time.Hour)},
			Spool:     spoolConfig{MaxBytes: stream.DefaultSpoolBytes},
		},
		Predictions: predictionsConfig{Keep: duration(72 * time.Hour), GiveUpAfter: duration(24 * time.Hour)},
	}
}

// fillDefaults adds what the file did not say. It runs before validation, so
// that what is validated is what is used.
func (c *Config) fillDefaults() {
	if len(c.Sources) == 0 {
		c.ImpliedSources = true
		c.Sources = map[string]sourceConfig{defaultSource: {Secrets: []SecretRef{"env:" + defaultSecretEnv}}}
	}
	for name, s := range c.Sources {
		if s.Kind == "" {
			s.Kind = "get3w"
		}
		if s.MaxAge == 0 {
			s.MaxAge = duration(source.DefaultMaxAge)
		}
		if kind, err := source.KindOf(s.Kind); err == nil && s.API.Key != "" {
			s.API.BaseURL = cmp.Or(s.API.BaseURL, kind.BaseURL())
			s.API.Rate = cmp.Or(s.API.Rate, defaultPollRate)
			s.API.PollAfter = cmp.Or(s.API.PollAfter, duration(kind.RetrySpan()))
		}
		c.Sources[name] = s
	}
	c.addArchive()
	for name, cons := range c.Consumers {
		if fill := Kinds[cons.Kind].defaults; fill != nil {
			fill(c, &cons)
		}
		if cons.Start == "" {
			cons.Start = "new"
		}
		if cons.Concurrency == 0 && !Kinds[cons.Kind].pulled {
			cons.Concurrency = 1
		}
		c.Consumers[name] = cons
	}
}

// defaultConsumer stands beside those of the file, unless the file switches it off.
const defaultConsumer = "archive"

// addArchive adds the default consumer, and removes those that are switched off.
func (c *Config) addArchive() {
	cons, named := c.Consumers[defaultConsumer]
	cons.Implied = !named
	cons.Kind = cmp.Or(cons.Kind, KindArchive)
	if c.Consumers == nil {
		c.Consumers = map[string]ConsumerConfig{}
	}
	c.Consumers[defaultConsumer] = cons
	maps.DeleteFunc(c.Consumers, func(_ string, cons ConsumerConfig) bool { return cons.Enabled != nil && !*cons.Enabled })
}

func (c *Config) Has(role string) bool { return slices.Contains(c.Roles, role) }

func (c *Config) Names() bridge.Names { return bridge.Names{Prefix: c.NATS.Prefix} }

// duplicates is how long the store must know an event's id: as long as any
// sender goes on repeating it.
func (c *Config) Duplicates() time.Duration {
	window := streams.MinDuplicates
	for _, s := range c.Sources {
		if kind, err := source.KindOf(s.Kind); err == nil {
			window = max(window, kind.RetrySpan())
		}
	}
	return window
}

func (f filterConfig) Filter() bridge.Filter {
	return bridge.Filter{Event: f.Event, Sources: f.Source, Statuses: f.Status, Model: f.Model}
}
