package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/ingress"
	"github.com/hookspan/hookspan/bridge/source"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/archive"
)

// unreserved is what RFC 3986 section 2.3 lets stand in a URL as it is.
var unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// routes makes the configured sources. A source without a secret refuses every
// delivery; that is said here, once and loudly.
func routes(cfg *config, getenv func(string) (string, bool), log *zap.Logger) ([]ingress.Route, error) {
	var out []ingress.Route
	for _, name := range sortedKeys(cfg.Sources) {
		s := cfg.Sources[name]
		var secrets [][]byte
		for _, ref := range s.Secrets {
			secret, err := ref.resolve(getenv)
			if err != nil {
				return nil, fmt.Errorf("sources.%s.secrets: %w", name, err)
			}
			if len(secret) == 0 {
				log.Warn("a secret is empty or not set", zap.String("source", name), zap.String("secret", string(ref)))
			}
			secrets = append(secrets, secret)
		}
		src, err := source.New(source.Config{Name: name, Kind: s.Kind, Secrets: secrets, MaxAge: time.Duration(s.MaxAge)})
		if err != nil {
			return nil, err
		}
		if !src.HasSecret() {
			log.Error("NO SECRET: every webhook of this source is refused with 401; set one of its secrets and start again",
				zap.String("source", name), zap.Any("secrets", s.Secrets))
		}
		route := ingress.Route{Source: src, Query: s.Query}
		if s.PathToken != "" {
			if route.PathToken, err = s.PathToken.require(getenv); err != nil {
				return nil, fmt.Errorf("sources.%s.path_token: %w", name, err)
			}
			if !unreserved.Match(route.PathToken) {
				return nil, fmt.Errorf("sources.%s.path_token: it must be of letters, digits and - . _ ~, which mean the same in every URL", name)
			}
		}
		out = append(out, route)
	}
	return out, nil
}

// newConsumers makes the configured consumers.
func newConsumers(cfg *config, store *store, log *zap.Logger, onStop *cleanup) ([]*consumers.Consumer, error) {
	var out []*consumers.Consumer
	for _, name := range sortedKeys(cfg.Consumers) {
		c := cfg.Consumers[name]
		start, err := consumers.ParseStart(c.Start)
		if err != nil {
			return nil, fmt.Errorf("consumers.%s: %w", name, err)
		}
		handler, err := newArchive(cfg, name, c, store, log, onStop)
		if err != nil {
			return nil, fmt.Errorf("consumers.%s: %w", name, err)
		}
		consumer, err := consumers.New(store.consume, handler, consumers.Config{
			Name: name, Filter: c.Filter.filter(), Start: start, Concurrency: c.Concurrency,
			Retry: c.Retry.retry(), Prefix: cfg.NATS.Prefix, Logger: log,
		})
		if err != nil {
			return nil, err
		}
		out = append(out, consumer)
	}
	return out, nil
}

func newArchive(cfg *config, name string, c consumerConfig, store *store, log *zap.Logger, onStop *cleanup) (*archive.Archive, error) {
	dir, err := cfg.storeDir(c)
	if err != nil {
		return nil, err
	}
	a, err := archive.New(archive.Config{
		Dir: dir, Hosts: c.Hosts, AllowPrivate: c.AllowPrivate, MaxOutput: int64(c.MaxOutput),
		Reserve: store.reserve(dir), Logger: log.Named("archive").With(zap.String("consumer", name)),
	})
	if err != nil {
		return nil, err
	}
	onStop.add(a.Close)
	return a, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
