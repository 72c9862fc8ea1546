package main

import (
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
	// keys are those of consumerConfig that this kind reads, beside those that all
	// of them read.
	keys []string
	// defaults fills what the file did not say; nil: nothing.
	defaults func(cfg *config, cons *consumerConfig)
	// check finds what cannot be used; key is that of the consumer.
	check func(cfg *config, found *checker, key string, cons consumerConfig)
	// handler makes what acts on the events.
	handler func(p *parts, name string, cons consumerConfig) (consumers.Handler, error)
}

// kinds are all kinds of consumers.
var kinds = map[string]kind{
	kindArchive: archiveKind,
	kindExec:    execKind,
	kindForward: forwardKind,
}

// commonKeys are the keys of consumerConfig that every kind reads.
var commonKeys = []string{"kind", "filter", "start", "concurrency", "rate", "once", "timeout", "retry"}

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

// newConsumers makes the configured consumers, none when this process has no
// such role.
func newConsumers(p *parts) ([]*consumers.Consumer, error) {
	if !p.cfg.has(roleConsumers) {
		return nil, nil
	}
	var out []*consumers.Consumer
	for _, name := range sortedKeys(p.cfg.Consumers) {
		c := p.cfg.Consumers[name]
		start, err := consumers.ParseStart(c.Start)
		if err != nil {
			return nil, fmt.Errorf("consumers.%s: %w", name, err)
		}
		handler, err := kinds[c.Kind].handler(p, name, c)
		if err != nil {
			return nil, fmt.Errorf("consumers.%s: %w", name, err)
		}
		consumer, err := consumers.New(p.store.consume, handler, consumers.Config{
			Name: name, Filter: c.Filter.filter(), Start: start, Concurrency: c.Concurrency,
			Rate: float64(c.Rate), Once: c.Once, Timeout: time.Duration(c.Timeout),
			Retry: c.Retry.retry(), Prefix: p.cfg.NATS.Prefix, Logger: p.log,
		})
		if err != nil {
			return nil, err
		}
		out = append(out, consumer)
	}
	return out, nil
}

// checkKeys finds keys that say something which this kind does not read.
func checkKeys(found *checker, key string, cons consumerConfig) {
	v := reflect.ValueOf(cons)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if !v.Field(i).IsZero() && !slices.Contains(commonKeys, name) && !slices.Contains(kinds[cons.Kind].keys, name) {
			found.fail(key+"."+name, "a consumer of kind %s has no such key", cons.Kind)
		}
	}
}
