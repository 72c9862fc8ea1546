package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"syscall"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/certificate"
)

type lacking struct {
	config.Checker

	cfg    *config.Config
	getenv func(string) (string, bool)
}

// Lacks returns what is missing on this machine for the configuration: secrets, files, folders,
// addresses. Serve would not start, or would do less than it is told to. Lacks calls nothing
// over the network. Getenv looks up the variables that cfg names.
func Lacks(ctx context.Context, cfg *config.Config, getenv func(string) (string, bool)) []config.Problem {
	l := &lacking{cfg: cfg, getenv: getenv}
	l.Check("data_dir", checkFolder(cfg))
	l.addresses()
	l.nats()
	for _, name := range slices.Sorted(maps.Keys(cfg.Sources)) {
		l.source(name)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Consumers)) {
		if !cfg.Runs(name) {
			continue
		}
		key := "consumers." + name
		switch c := cfg.Consumers[name].(type) {
		case *config.Archive:
			archiveLacks(ctx, l, key, c)
		case *config.Exec:
			execLacks(l, key, c)
		case *config.Forward:
			forwardLacks(l, key, c)
		}
	}
	return l.Checker
}

// addresses finds addresses that no program could listen on. An address in use may be that of
// the running bridge, see [Warnings].
func (l *lacking) addresses() {
	for _, listener := range l.cfg.Listeners() {
		if !listener.Standard {
			l.Check(listener.Key, canListen(listener))
		}
	}
	if l.cfg.Has(config.RoleIngress) {
		l.certificate("ingress.tls", l.cfg.Ingress.TLS)
	}
	l.certificate("admin.tls", l.cfg.Admin.TLS)
	if l.cfg.Has(config.RoleAdmin) {
		_, err := l.cfg.Admin.ReadTokens(l.getenv)
		l.Check("admin.tokens", err)
	}
}

func (l *lacking) certificate(key string, files config.Certificate) {
	if files.Cert != "" {
		_, err := certificate.Load(key, files.Cert, files.Key, zap.NewNop())
		l.Check(key, err)
	}
}

func canListen(at config.Listener) error {
	l, err := net.Listen("tcp", at.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: free that address or choose another one with %s", err, at.Key)
	}
	return l.Close()
}

func (l *lacking) nats() {
	if !l.cfg.NATS.External() {
		return
	}
	external, err := externalConfig(l.cfg.NATS, l.getenv, zap.NewNop())
	if err != nil {
		key, why, _ := strings.Cut(err.Error(), ": ")
		l.Fail(key, "%s", why)
		return
	}
	l.Check("nats", stream.CheckExternal(external))
}

// needsSecret reports whether webhooks of the source cannot be proved without a secret.
func needsSecret(s config.Source) bool {
	kind, err := s.Sender()
	return err != nil || kind.NeedsSecret()
}

// source checks the secrets and the API key of a source. A retired secret only explains
// refusals, and may be missing.
func (l *lacking) source(name string) {
	c := l.cfg
	s, key := c.Sources[name], "sources."+name
	if c.Has(config.RoleIngress) {
		cfg, usable := source.Config{Name: name, Kind: s.Kind, Options: s.Options()}, !needsSecret(s)
		for _, ref := range s.Secrets {
			secret, err := ref.Resolve(l.getenv)
			l.Check(key+".secrets", err)
			usable = usable || len(secret) > 0 || err != nil // err is a problem already
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
			l.Check(key+".path_token", errors.Unwrap(err)) // err begins with the key
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
