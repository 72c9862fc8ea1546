package app

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/archive"
	"github.com/hookspan/hookspan/consumers/exec"
	"github.com/hookspan/hookspan/consumers/forward"
	"github.com/hookspan/hookspan/internal/durable"
)

// parts is what handlers are made of.
type parts struct {
	cfg     *config.Config
	store   *store
	getenv  func(string) (string, bool)
	metrics prometheus.Registerer
	version string
	secrets *secretUsers // takes those that are made
	log     *zap.Logger
	onStop  *cleanup
}

// newConsumers makes the configured consumers whose handlers run here, none when this
// process has no such role.
func newConsumers(p *parts) ([]*consumers.Consumer, error) {
	if !p.cfg.Has(config.RoleConsumers) {
		return nil, nil
	}
	var out []*consumers.Consumer
	for _, name := range slices.Sorted(maps.Keys(p.cfg.Consumers)) {
		worker, ok := p.cfg.Consumers[name].(config.Worker)
		if !ok {
			continue // a program that is not ours handles its events
		}
		consumer, err := newWorker(p, name, worker)
		if err != nil {
			return nil, fmt.Errorf("consumers.%s: %w", name, err)
		}
		out = append(out, consumer)
	}
	return out, nil
}

func newWorker(p *parts, name string, c config.Worker) (*consumers.Consumer, error) {
	handler, err := newHandler(p, name, c)
	if err != nil {
		return nil, err
	}
	cfg, err := consumerOf(p.cfg, name, c)
	if err != nil {
		return nil, err
	}
	if cfg.Start, err = p.store.durables.start(name, c); err != nil {
		return nil, err
	}
	cfg.Logger, cfg.BindOnly = telemetry.Slog(p.log.Named("consumer")), p.cfg.NATS.Provision != config.ProvisionCreate
	worker, err := consumers.New(p.store.consume, handler, cfg)
	if err != nil {
		return nil, err
	}
	return worker, register(p.metrics, worker.Collectors()...)
}

// consumerOf is what a consumer is given, and what its durable is made of.
func consumerOf(cfg *config.Config, name string, c config.Consumer) (consumers.Config, error) {
	base := c.Base()
	start, err := config.ParseStart(base.Start)
	out := consumers.Config{Name: name, Filter: base.Filter.Filter(), Start: start, Prefix: cfg.NATS.Prefix}
	switch c := c.(type) {
	case config.Worker:
		a := c.Attempting()
		out.Concurrency, out.Rate, out.Once = a.Concurrency, float64(a.Rate), a.Once
		out.Timeout, out.Retry = time.Duration(a.Timeout), a.Retry.Retry()
	case *config.Pull:
		out.Lease = time.Duration(c.Lease)
	}
	return out, err
}

// durableOf is what the durable of a consumer is to be like.
func durableOf(cfg *config.Config, name string, c config.Consumer) (durable.Definition, error) {
	of, err := consumerOf(cfg, name, c)
	want := durable.Definition{Name: name, Filter: of.Filter, Start: durable.StartPoint(of.Start), Lease: of.Lease, Prefix: of.Prefix}
	if pull, ok := c.(*config.Pull); ok {
		want.MaxDeliveries = pull.MaxDeliveries
	}
	return want, err
}

// newHandler makes what acts on the events of a consumer.
func newHandler(p *parts, name string, c config.Worker) (consumers.Handler, error) {
	switch c := c.(type) {
	case *config.Archive:
		return newArchive(p, name, c)
	case *config.Exec:
		return newExec(p, name, c)
	case *config.Forward:
		return newForward(p, name, c)
	}
	return nil, fmt.Errorf("kind %s has no handler", c.Base().Kind)
}

func newArchive(p *parts, name string, c *config.Archive) (consumers.Handler, error) {
	at, err := p.cfg.ArchiveLocation(c)
	if err != nil {
		return nil, err
	}
	cfg := archive.Config{
		Name: name, Location: at, Hosts: c.Hosts, AllowPrivate: c.AllowPrivate, MaxOutput: int64(c.MaxOutput), MaxBytes: int64(c.MaxBytes),
		Parallel: c.Parallel, Life: p.cfg.OutputLife, Delay: p.cfg.OutputDelay,
		Publish: p.store.publishEvent, Alarms: p.store.alarms, Logger: telemetry.Slog(p.log.Named("archive")).With("consumer", name),
	}
	if at.Dir != "" {
		cfg.Reserve = p.store.reserve(at.Dir)
	}
	a, err := archive.New(cfg)
	if err != nil {
		return nil, err
	}
	p.onStop.add("consumer "+name, a.Close)
	return a, register(p.metrics, a.Collectors()...)
}

func newExec(p *parts, name string, c *config.Exec) (consumers.Handler, error) {
	var env []string
	for _, variable := range c.Env {
		if value, ok := p.getenv(variable); ok {
			env = append(env, variable+"="+value)
		}
	}
	return exec.New(exec.Config{
		Command: c.Command, Env: env, Dir: filepath.Join(p.cfg.DataDir, "exec", name),
		Name: name, Alarms: p.store.alarms, Logger: telemetry.Slog(p.log.Named("exec")).With("consumer", name),
	})
}

// notToken is what cannot stand in a product version of User-Agent, see RFC 9110
// section 10.1.5.
var notToken = regexp.MustCompile(`[^0-9A-Za-z.+_-]+`)

// userAgent is what this program calls itself to others.
func userAgent(version string) string {
	return "Hookspan/" + strings.Trim(notToken.ReplaceAllString(version, "-"), "-")
}

func newForward(p *parts, name string, c *config.Forward) (consumers.Handler, error) {
	refs, key := c.Signing()
	user := &secretUser{consumer: name, key: "consumers." + name + "." + key, refs: refs, check: forward.CheckSecret}
	if err := user.read(p.getenv); err != nil {
		return nil, err
	}
	networks, err := c.Networks()
	if err != nil {
		return nil, err
	}
	f, err := forward.New(forward.Config{
		Name: name, URL: c.URL, Mode: forward.Mode(c.Mode), Secrets: user.next, Refuse: c.Refuse,
		AllowPrivate: c.AllowPrivate, AllowNetworks: networks, Concurrency: c.Concurrency,
		ConnectTimeout: time.Duration(c.ConnectTimeout), HeaderTimeout: time.Duration(c.HeaderTimeout), Timeout: time.Duration(c.Timeout),
		UserAgent: userAgent(p.version),
		Alarms:    p.store.alarms, Logger: telemetry.Slog(p.log.Named("forward")).With("consumer", name),
	})
	if err != nil {
		return nil, err
	}
	p.onStop.add("consumer "+name, f.Close)
	user.set = f.SetSecrets
	p.secrets.add(user)
	return f, register(p.metrics, f.Collectors()...)
}
