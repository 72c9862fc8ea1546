package app

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/redial"
)

// reachNATS starts the embedded NATS, or reads the credentials of an external one. It returns
// the function that opens a named connection.
func (s *store) reachNATS() (connect func(name string) (*redial.JetStream, error), err error) {
	if s.cfg.NATS.URL == "" {
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
		Alarms: s.alarms, Position: s.position,
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

// externalConfig resolves the credentials. A configured password that is missing is an error.
// Its file is read again at each connection; when that fails, the last password is used.
func externalConfig(n config.NATS, getenv func(string) (string, bool), log *zap.Logger) (stream.ExternalConfig, error) {
	cfg := stream.ExternalConfig{
		URL: n.URL, Creds: n.Creds, NKeySeed: n.NKey, User: n.User,
		CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key,
	}
	if n.User == "" {
		return cfg, nil
	}
	first, err := n.Password.Require(getenv)
	if err != nil {
		return cfg, fmt.Errorf("nats.password: %w", err)
	}
	var last atomic.Pointer[[]byte]
	last.Store(&first)
	cfg.Password = func() string {
		now, err := n.Password.Require(getenv)
		if err == nil {
			last.Store(&now)
		} else {
			log.Error("nats.password cannot be read, the last one is used", zap.Error(err))
		}
		return string(*last.Load())
	}
	return cfg, nil
}
