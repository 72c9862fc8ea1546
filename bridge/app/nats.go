package app

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
	"github.com/hookspan/hookspan/internal/redial"
)

// reachNATS starts the embedded NATS, or reads the credentials of an external one. It returns
// the function that opens a named connection.
func (s *store) reachNATS() (connect func(name string) (*redial.JetStream, error), err error) {
	if !s.cfg.NATS.External() {
		if err := s.startEmbedded(); err != nil {
			return nil, err
		}
		return func(name string) (*redial.JetStream, error) { return s.embedded.Open(name, s.alarms, s.log) }, nil
	}
	external, err := externalConfig(s.cfg.NATS, s.getenv, s.log)
	if err == nil {
		err = stream.CheckFiles(external)
	}
	if err != nil {
		return nil, err
	}
	return func(name string) (*redial.JetStream, error) {
		return stream.OpenExternal(external, name, s.alarms, s.log)
	}, nil
}

func (s *store) startEmbedded() (err error) {
	listen, standard := s.cfg.NATS.ListenAddress()
	s.embedded, err = stream.StartEmbedded(s.folder, stream.EmbeddedConfig{
		Listen: listen, FreePort: standard, Names: s.cfg.Names(), Consumers: s.cfg.Owned(), Pull: s.cfg.Pulled(), Streams: s.streams,
		Alarms: s.alarms, Position: s.position, Unsynced: s.unsynced,
	}, s.log)
	if err != nil {
		return err
	}
	s.onStop.add("embedded NATS", func() error { s.embedded.Close(); return nil })
	if host, _, err := net.SplitHostPort(strings.TrimPrefix(s.embedded.URL(), "nats://")); err == nil && !net.ParseIP(host).IsLoopback() {
		s.log.Warn("NATS listens beyond this machine, and its clients' passwords travel in clear: use 127.0.0.1, or an external NATS with TLS",
			zap.String("nats.listen", host))
	}
	return nil
}

// position is the first sequence that a durable may still need, if that is recorded.
func (s *store) position(streamName, durable string) (uint64, bool) {
	if streamName != s.cfg.Names().EventsStream() {
		return 0, false
	}
	return s.record.Next(durable)
}

// externalConfig resolves the credentials. A configured password or token that is missing is an
// error. Its file is read again at each connection; when that fails, the last one is used.
func externalConfig(n config.NATS, getenv func(string) (string, bool), log *zap.Logger) (cfg stream.ExternalConfig, err error) {
	if n.Context != "" {
		return stream.ReadContext(n.Context)
	}
	cfg = stream.ExternalConfig{
		URL: n.URL, Creds: n.Creds, NKeySeed: n.NKey, User: n.User,
		CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key, Domain: n.Domain, InboxPrefix: n.InboxPrefix,
	}
	if n.User != "" {
		if cfg.Password, err = readAgain("nats.password", n.Password, getenv, log); err != nil {
			return cfg, err
		}
	}
	if n.Token != "" {
		cfg.Token, err = readAgain("nats.token", n.Token, getenv, log)
	}
	return cfg, err
}

// readAgain returns a function that reads a secret as it is now.
func readAgain(key string, ref config.SecretRef, getenv func(string) (string, bool), log *zap.Logger) (func() string, error) {
	first, err := ref.Require(getenv)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	var last atomic.Pointer[[]byte]
	last.Store(&first)
	return func() string {
		now, err := ref.Require(getenv)
		if err == nil {
			last.Store(&now)
		} else {
			log.Error(key+" cannot be read, the last one is used", zap.Error(err))
		}
		return string(*last.Load())
	}, nil
}

// rightsOf returns what this process needs to be allowed in an external NATS.
func rightsOf(c *config.Config, external stream.ExternalConfig) rights.Rights {
	roles := slices.Clone(c.Roles)
	if c.NATS.Provision == config.ProvisionCreate {
		roles = append(roles, rights.Provision)
	}
	return rights.Of(c.Names(), cmp.Or(external.InboxPrefix, stream.DefaultInboxPrefix), roles...)
}
