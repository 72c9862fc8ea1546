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
	"github.com/hookspan/hookspan/consumers/exec"
	"github.com/hookspan/hookspan/consumers/forward"
)

// Lacks is what the configuration needs of this machine that is not there: secrets,
// files, folders, addresses. Serve would not start, or would do less than it is told to.
// Nobody is asked over the network.
func Lacks(ctx context.Context, c *config.Config, getenv func(string) (string, bool)) []config.Problem {
	var found config.Checker
	found.Check("data_dir", stream.CheckFolder(c.DataDir))
	lacksAddresses(c, &found)
	lacksOfNATS(c, &found, getenv)
	for _, name := range slices.Sorted(maps.Keys(c.Sources)) {
		lacksOfSource(c, &found, name, getenv)
	}
	if !c.Has(config.RoleConsumers) {
		return found
	}
	for _, name := range slices.Sorted(maps.Keys(c.Consumers)) {
		lacksOfConsumer(ctx, c, &found, name, getenv)
	}
	return found
}

// lacksAddresses finds addresses that nobody could listen on, whether or not somebody
// does: that may be the bridge which runs.
func lacksAddresses(c *config.Config, found *config.Checker) {
	for _, l := range c.Listeners() {
		if !l.Standard {
			found.Check(l.Key, canListen(l.Address))
		}
	}
	if tls := c.Ingress.TLS; c.Has(config.RoleIngress) && tls.Cert != "" {
		found.Check("ingress.tls", ingress.CheckCertificate(tls.Cert, tls.Key))
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

func lacksOfNATS(c *config.Config, found *config.Checker, getenv func(string) (string, bool)) {
	if c.NATS.URL == "" {
		return
	}
	external, err := natsConfigOf(c.NATS, getenv, zap.NewNop())
	if err != nil {
		found.Check("nats.password", err)
		return
	}
	found.Check("nats", stream.CheckExternal(external))
}

// lacksOfSource looks for what the source's part of the process needs. A retired secret
// only explains, and may be gone.
func lacksOfSource(c *config.Config, found *config.Checker, name string, getenv func(string) (string, bool)) {
	s, key := c.Sources[name], "sources."+name
	if c.Has(config.RoleIngress) {
		cfg, usable := source.Config{Name: name, Kind: s.Kind}, false
		for _, ref := range s.Secrets {
			secret, err := ref.Resolve(getenv)
			found.Check(key+".secrets", err)
			usable = usable || len(secret) > 0 || err != nil // which is said already
			cfg.Secrets = append(cfg.Secrets, secret)
		}
		if _, err := source.New(cfg); err != nil {
			found.Check(key, err)
		} else if !usable {
			found.Fail(key+".secrets", "none of %v is set, so every webhook would be refused: set one of them", s.Secrets)
		}
	}
	if c.Has(config.RoleIngress) || c.Submits() {
		if _, err := s.ReadPathToken(name, getenv); err != nil {
			found.Check(key+".path_token", errors.Unwrap(err)) // it begins with the key
		}
	}
	if c.AsksProviders() && s.API.Key != "" {
		_, err := apiKey(s.API.Key, getenv)
		found.Check(key+".api.key", err)
		if err == nil {
			_, err = provider.New(provider.Config{Source: name, BaseURL: s.API.BaseURL, MaxBody: int64(c.Ingress.MaxBody), Logger: zap.NewNop()})
			found.Check(key+".api", err)
		}
	}
}

// lacksOfConsumer finds what a consumer needs of this machine that is not there.
func lacksOfConsumer(ctx context.Context, c *config.Config, found *config.Checker, name string, getenv func(string) (string, bool)) {
	key := "consumers." + name
	switch cons := c.Consumers[name].(type) {
	case *config.Archive:
		at, err := c.ArchiveLocation(cons)
		if err == nil {
			err = at.Check(ctx, cons.AllowPrivate)
		}
		found.Check(key+".store", err)
	case *config.Exec:
		found.Check(key+".command", exec.CheckInstalled(cons.Command))
	case *config.Forward:
		refs, _ := cons.Signing()
		for _, ref := range refs {
			secret, err := ref.Require(getenv)
			if err == nil {
				err = forward.CheckSecret(secret)
			}
			found.Check(key+".secret", err)
		}
	}
}
