package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"syscall"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// lacking collects what a configuration needs of this machine that is not there.
type lacking struct {
	config.Checker

	cfg    *config.Config
	getenv func(string) (string, bool)
}

// Lacks returns what the configuration needs of this machine that is not there: secrets,
// files, folders, addresses. Serve would not start, or would do less than it is told to.
// Nobody is asked over the network. Getenv looks up the variables that cfg names.
func Lacks(ctx context.Context, cfg *config.Config, getenv func(string) (string, bool)) []config.Problem {
	l := &lacking{cfg: cfg, getenv: getenv}
	l.Check("data_dir", stream.CheckFolder(cfg.DataDir))
	l.addresses()
	l.nats()
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		l.source(name)
	}
	if !cfg.Has(config.RoleConsumers) {
		return l.Checker
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Consumers)) {
		l.consumer(ctx, name)
	}
	return l.Checker
}

// addresses finds addresses that nobody could listen on, whether or not somebody
// does: that may be the bridge which runs.
func (l *lacking) addresses() {
	for _, listener := range l.cfg.Listeners() {
		if !listener.Standard {
			l.Check(listener.Key, canListen(listener.Address))
		}
	}
	if tls := l.cfg.Ingress.TLS; l.cfg.Has(config.RoleIngress) && tls.Cert != "" {
		l.Check("ingress.tls", ingress.CheckCertificate(tls.Cert, tls.Key))
	}
}

func canListen(address string) error {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: use an address of this machine, and a port that this user may listen on", err)
	}
	return l.Close()
}

func (l *lacking) nats() {
	if l.cfg.NATS.URL == "" {
		return
	}
	external, err := externalConfig(l.cfg.NATS, l.getenv, zap.NewNop())
	if err != nil {
		l.Check("nats.password", err)
		return
	}
	l.Check("nats", stream.CheckExternal(external))
}

// source looks for what the source's part of the process needs. A retired secret
// only explains, and may be gone.
func (l *lacking) source(name string) {
	c := l.cfg
	s, key := c.Sources[name], "sources."+name
	if c.Has(config.RoleIngress) {
		cfg, usable := source.Config{Name: name, Kind: s.Kind}, false
		for _, ref := range s.Secrets {
			secret, err := ref.Resolve(l.getenv)
			l.Check(key+".secrets", err)
			usable = usable || len(secret) > 0 || err != nil // which is said already
			cfg.Secrets = append(cfg.Secrets, secret)
		}
		if _, err := source.New(cfg); err != nil {
			l.Check(key, err)
		} else if !usable {
			l.Fail(key+".secrets", "none of %v is set, so every webhook would be refused: set one of them", s.Secrets)
		}
	}
	if c.Has(config.RoleIngress) || c.Submits() {
		if _, err := s.ReadPathToken(name, l.getenv); err != nil {
			l.Check(key+".path_token", errors.Unwrap(err)) // it begins with the key
		}
	}
	if c.AsksProviders() && s.API.Key != "" {
		_, err := apiKey(s.API.Key, l.getenv)
		l.Check(key+".api.key", err)
		if err == nil {
			_, err = provider.New(provider.Config{Source: name, BaseURL: s.API.BaseURL, MaxBody: int64(c.Ingress.MaxBody), Logger: zap.NewNop()})
			l.Check(key+".api", err)
		}
	}
}

// consumer looks for what a consumer needs, see the files kind_*.go.
func (l *lacking) consumer(ctx context.Context, name string) {
	key := "consumers." + name
	switch c := l.cfg.Consumers[name].(type) {
	case *config.Archive:
		archiveLacks(ctx, l, key, c)
	case *config.Exec:
		execLacks(l, key, c)
	case *config.Forward:
		forwardLacks(l, key, c)
	}
}
