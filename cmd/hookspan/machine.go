package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/admin"
	"github.com/hookspan/hookspan/bridge/ingress"
	"github.com/hookspan/hookspan/bridge/predictions/provider"
	"github.com/hookspan/hookspan/bridge/queue"
	"github.com/hookspan/hookspan/bridge/source"
	"github.com/hookspan/hookspan/consumers/exec"
	"github.com/hookspan/hookspan/consumers/forward"
)

// lacks is what the configuration needs of this machine that is not there: secrets,
// files, folders, addresses. Serve would not start, or would do less than it is told to.
// Nobody is asked over the network.
func (c *config) lacks(ctx context.Context, getenv func(string) (string, bool)) []problem {
	var found checker
	found.check("data_dir", queue.CheckFolder(c.DataDir))
	c.lacksAddresses(&found)
	c.lacksOfNATS(&found, getenv)
	for _, name := range sortedKeys(c.Sources) {
		c.lacksOfSource(&found, name, getenv)
	}
	if !c.has(roleConsumers) {
		return found
	}
	for _, name := range sortedKeys(c.Consumers) {
		cons := c.Consumers[name]
		if lacks := kinds[cons.Kind].lacks; lacks != nil {
			lacks(ctx, c, &found, "consumers."+name, cons, getenv)
		}
	}
	return found
}

// lacksAddresses finds addresses that nobody could listen on, whether or not somebody
// does: that may be the bridge which runs.
func (c *config) lacksAddresses(found *checker) {
	for _, l := range c.listeners() {
		if !l.standard {
			found.check(l.key, canListen(l.address))
		}
	}
	if tls := c.Ingress.TLS; c.has(roleIngress) && tls.Cert != "" {
		found.check("ingress.tls", ingress.CheckCertificate(tls.Cert, tls.Key))
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

func (c *config) lacksOfNATS(found *checker, getenv func(string) (string, bool)) {
	if c.NATS.URL == "" {
		return
	}
	external, err := c.NATS.external(getenv, zap.NewNop())
	if err != nil {
		found.check("nats.password", err)
		return
	}
	found.check("nats", queue.CheckExternal(external))
}

// lacksOfSource looks for what the source's part of the process needs. A retired secret
// only explains, and may be gone.
func (c *config) lacksOfSource(found *checker, name string, getenv func(string) (string, bool)) {
	s, key := c.Sources[name], "sources."+name
	if c.has(roleIngress) {
		cfg, usable := source.Config{Name: name, Kind: s.Kind}, false
		for _, ref := range s.Secrets {
			secret, err := ref.resolve(getenv)
			found.check(key+".secrets", err)
			usable = usable || len(secret) > 0 || err != nil // which is said already
			cfg.Secrets = append(cfg.Secrets, secret)
		}
		if _, err := source.New(cfg); err != nil {
			found.check(key, err)
		} else if !usable {
			found.fail(key+".secrets", "none of %v is set, so every webhook would be refused: set one of them", s.Secrets)
		}
	}
	if c.has(roleIngress) || c.submits() {
		if _, err := s.pathToken(name, getenv); err != nil {
			found.check(key+".path_token", errors.Unwrap(err)) // it begins with the key
		}
	}
	if c.asksProviders() && s.API.Key != "" {
		_, err := apiKey(s.API.Key, getenv)
		found.check(key+".api.key", err)
		if err == nil {
			_, err = provider.New(provider.Config{Source: name, BaseURL: s.API.BaseURL, MaxBody: int64(c.Ingress.MaxBody), Logger: zap.NewNop()})
			found.check(key+".api", err)
		}
	}
}

func archiveLacks(ctx context.Context, c *config, found *checker, key string, cons consumerConfig, _ func(string) (string, bool)) {
	at, err := c.archiveLocation(cons)
	if err == nil {
		err = at.Check(ctx, cons.AllowPrivate)
	}
	found.check(key+".store", err)
}

func execLacks(_ context.Context, _ *config, found *checker, key string, cons consumerConfig, _ func(string) (string, bool)) {
	found.check(key+".command", exec.CheckInstalled(cons.Command))
}

func forwardLacks(_ context.Context, _ *config, found *checker, key string, cons consumerConfig, getenv func(string) (string, bool)) {
	for _, ref := range cons.signing() {
		secret, err := ref.require(getenv)
		if err == nil {
			err = forward.CheckSecret(secret)
		}
		found.check(key+".secret", err)
	}
}

// listener is an address that this process listens on. A standard one, which the file
// does not name, gives way to a free one.
type listener struct {
	key, address string
	standard     bool
}

// listeners are in the order in which they begin to listen.
func (c *config) listeners() []listener {
	var all []listener
	add := func(key string, address *string, standard string) {
		switch {
		case address == nil:
			all = append(all, listener{key, standard, true})
		case *address != "":
			all = append(all, listener{key, *address, false})
		}
	}
	if c.has(roleAdmin) {
		add("admin.listen", c.Admin.Listen, admin.DefaultListen)
	}
	if c.NATS.URL == "" {
		add("nats.listen", c.NATS.Listen, queue.DefaultNATSListen)
	}
	if c.has(roleIngress) {
		add("ingress.listen", &c.Ingress.Listen, "")
	}
	return all
}

// checkListens finds two listeners of one address.
func (c *config) checkListens(found *checker) {
	all := c.listeners()
	for i, later := range all {
		for _, before := range all[:i] {
			if !later.standard && overlap(later.address, before.address) {
				found.fail(later.key, "%s is %s: use another port for one of them", before.key, before.address)
			}
		}
	}
}

// overlap reports whether nobody can listen on both addresses.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	every := func(host string) bool { return host == "" || net.ParseIP(host).IsUnspecified() }
	return hostA == hostB || every(hostA) || every(hostB)
}
