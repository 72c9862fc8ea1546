package config

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/consumers"
)

// kind is what consumers of one kind have that others have not.
type kind struct {
	// keys are those of consumerConfig that this kind reads, beside commonKeys, and
	// beside attemptKeys where it has a handler.
	keys []string
	// defaults fills what the file did not say; nil: nothing.
	defaults func(cfg *Config, cons *ConsumerConfig)
	// check finds what cannot be used; key is that of the consumer.
	check func(cfg *Config, found *Checker, key string, cons ConsumerConfig)
	// does says in some words what a consumer does with its events.
	Does func(cfg *Config, cons ConsumerConfig) string
	// pulled: a program that is not ours handles the events.
	pulled bool
}

// kinds are all kinds of consumers.
var Kinds = map[string]kind{
	KindArchive: archiveKind,
	KindExec:    execKind,
	KindForward: forwardKind,
	kindPull:    pullKind,
}

// commonKeys are the keys of consumerConfig that every kind reads, attemptKeys those
// that every kind reads whose handler runs here.
var (
	commonKeys  = []string{"kind", "enabled", "filter", "start"}
	attemptKeys = []string{"concurrency", "rate", "once", "timeout", "retry"}
)

// config is what the worker of a consumer is given, and its durable is made of.
func (c ConsumerConfig) Config(cfg *Config, name string) (consumers.Config, error) {
	start, err := ParseStart(c.Start)
	return consumers.Config{
		Name: name, Filter: c.Filter.Filter(), Start: start, Concurrency: c.Concurrency,
		Rate: float64(c.Rate), Once: c.Once, Timeout: time.Duration(c.Timeout), Lease: time.Duration(c.Lease),
		Retry: c.Retry.retry(), Prefix: cfg.NATS.Prefix,
	}, err
}

// checkKeys finds keys that say something which this kind does not read.
func checkKeys(found *Checker, key string, cons ConsumerConfig) {
	v := reflect.ValueOf(cons)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name != "-" && !v.Field(i).IsZero() && !slices.Contains(Kinds[cons.Kind].reads(), name) {
			found.Fail(key+"."+name, "a consumer of kind %s has no such key", cons.Kind)
		}
	}
}

// reads are the keys of consumerConfig that consumers of this kind read.
func (k kind) reads() []string {
	if k.pulled {
		return slices.Concat(commonKeys, k.keys)
	}
	return slices.Concat(commonKeys, attemptKeys, k.keys)
}
