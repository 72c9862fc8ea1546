package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/consumers"
)

// kind is what consumers of one kind have that others have not.
type kind struct {
	// keys are those of consumerConfig that this kind reads, beside commonKeys, and
	// beside attemptKeys where it has a handler.
	keys []string
	// defaults fills what the file did not say; nil: nothing.
	defaults func(cfg *config, cons *consumerConfig)
	// check finds what cannot be used; key is that of the consumer.
	check func(cfg *config, found *checker, key string, cons consumerConfig)
	// lacks finds what is not on this machine; nil: it needs nothing of that.
	lacks func(ctx context.Context, cfg *config, found *checker, key string, cons consumerConfig, getenv func(string) (string, bool))
	// does says in some words what a consumer does with its events.
	does func(cfg *config, cons consumerConfig) string
	// handler makes what acts on the events; nil: a program that is not ours does.
	handler func(p *parts, name string, cons consumerConfig) (consumers.Handler, error)
}

// kinds are all kinds of consumers.
var kinds = map[string]kind{
	kindArchive: archiveKind,
	kindExec:    execKind,
	kindForward: forwardKind,
	kindPull:    pullKind,
}

// commonKeys are the keys of consumerConfig that every kind reads, attemptKeys those
// that every kind reads whose handler runs here.
var (
	commonKeys  = []string{"kind", "enabled", "filter", "start"}
	attemptKeys = []string{"concurrency", "rate", "once", "timeout", "retry"}
)

// parts is what handlers are made of.
type parts struct {
	cfg     *config
	store   *store
	getenv  func(string) (string, bool)
	metrics prometheus.Registerer
	secrets *secretUsers // takes those that are made
	log     *zap.Logger
	onStop  *cleanup
}

// newConsumers makes the configured consumers whose handlers run here, none when this
// process has no such role.
func newConsumers(p *parts) ([]*consumers.Consumer, error) {
	if !p.cfg.has(roleConsumers) {
		return nil, nil
	}
	var out []*consumers.Consumer
	for _, name := range sortedKeys(p.cfg.Consumers) {
		c := p.cfg.Consumers[name]
		if kinds[c.Kind].handler == nil {
			continue
		}
		consumer, err := newWorker(p, name, c)
		if err != nil {
			return nil, fmt.Errorf("consumers.%s: %w", name, err)
		}
		out = append(out, consumer)
	}
	return out, nil
}

func newWorker(p *parts, name string, c consumerConfig) (*consumers.Consumer, error) {
	handler, err := kinds[c.Kind].handler(p, name, c)
	if err != nil {
		return nil, err
	}
	cfg, err := c.config(p.cfg, name)
	if err != nil {
		return nil, err
	}
	if cfg.Start, err = p.store.durables.start(name, c); err != nil {
		return nil, err
	}
	cfg.Logger, cfg.BindOnly = p.log, p.cfg.NATS.Provision != provisionCreate
	return consumers.New(p.store.consume, handler, cfg)
}

// config is what the worker of a consumer is given, and its durable is made of.
func (c consumerConfig) config(cfg *config, name string) (consumers.Config, error) {
	start, err := consumers.ParseStart(c.Start)
	return consumers.Config{
		Name: name, Filter: c.Filter.filter(), Start: start, Concurrency: c.Concurrency,
		Rate: float64(c.Rate), Once: c.Once, Timeout: time.Duration(c.Timeout), Lease: time.Duration(c.Lease),
		Retry: c.Retry.retry(), Prefix: cfg.NATS.Prefix,
	}, err
}

// durable is what the durable of a consumer is to be like.
func (c consumerConfig) durable(cfg *config, name string) (consumers.Durable, error) {
	worker, err := c.config(cfg, name)
	durable := worker.Durable()
	durable.MaxDeliveries = c.MaxDeliveries
	return durable, err
}

// checkKeys finds keys that say something which this kind does not read.
func checkKeys(found *checker, key string, cons consumerConfig) {
	v := reflect.ValueOf(cons)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "-" && !v.Field(i).IsZero() && !slices.Contains(kinds[cons.Kind].reads(), name) {
			found.fail(key+"."+name, "a consumer of kind %s has no such key", cons.Kind)
		}
	}
}

// reads are the keys of consumerConfig that consumers of this kind read.
func (k kind) reads() []string {
	if k.handler == nil {
		return slices.Concat(commonKeys, k.keys)
	}
	return slices.Concat(commonKeys, attemptKeys, k.keys)
}
