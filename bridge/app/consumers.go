package app

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/telemetry"
	"github.com/hookspan/hookspan/consumers"
)

func (a *App) openConsumers() error {
	for _, name := range slices.Sorted(maps.Keys(a.cfg.Consumers)) {
		c, ok := a.cfg.Consumers[name].(config.Worker)
		if !ok || !a.cfg.Runs(name) {
			continue // another program or process handles its events
		}
		consumer, err := a.newConsumer(name, c)
		if err != nil {
			return fmt.Errorf("consumers.%s: %w", name, err)
		}
		a.consumers = append(a.consumers, consumer)
	}
	return nil
}

func (a *App) newConsumer(name string, c config.Worker) (*consumers.Consumer, error) {
	handler, err := a.newHandler(name, c)
	if err != nil {
		return nil, err
	}
	cfg, err := consumerConfig(a.cfg, name, c)
	if err != nil {
		return nil, err
	}
	if cfg.Start, err = a.store.start(name, c); err != nil {
		return nil, err
	}
	cfg.Tracer = a.tracer
	cfg.Logger, cfg.BindOnly = telemetry.Slog(a.log.Named("consumer")), a.cfg.NATS.Provision != config.ProvisionCreate
	cfg.Middleware = []consumers.Middleware{a.store.keepOut}
	worker, err := consumers.New(a.store.consume, handler, cfg)
	if err != nil {
		return nil, err
	}
	return worker, a.register(worker.Collectors()...)
}

func (a *App) newHandler(name string, c config.Worker) (consumers.Handler, error) {
	switch c := c.(type) {
	case *config.Archive:
		return newArchive(a, name, c)
	case *config.Exec:
		return newExec(a, name, c)
	case *config.Forward:
		return newForward(a, name, c)
	}
	return nil, fmt.Errorf("kind %s has no handler", c.Base().Kind)
}

// consumerConfig is the configuration of a consumer, from which its durable is made too.
func consumerConfig(cfg *config.Config, name string, c config.Consumer) (consumers.Config, error) {
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

// runConsumers runs each consumer once its durable is there.
func (a *App) runConsumers() error {
	for _, consumer := range a.consumers {
		a.group.Go(func() error {
			if !a.provisioner.durables.wait(a.ctx) {
				return nil
			}
			// A consumer that cannot go on must not end the ingress.
			if err := consumer.Run(a.ctx); err != nil {
				a.log.Error("a consumer has ended; webhooks are still accepted and kept for it", zap.Error(err))
			}
			return nil
		})
	}
	return nil
}

// notToken matches what a product version of User-Agent cannot hold, see RFC 9110 section
// 10.1.5.
var notToken = regexp.MustCompile(`[^0-9A-Za-z.+_-]+`)

func (e *env) userAgent() string {
	return "Hookspan/" + strings.Trim(notToken.ReplaceAllString(e.version, "-"), "-")
}
