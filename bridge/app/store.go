package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/ingress"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/redial"
	"github.com/hookspan/hookspan/internal/streams"
)

// diskMargin stays free beyond what the store may need, for everything else that
// lives on the disk.
const diskMargin = 64 << 20

// store is the event store as the rest of serve sees it, embedded or external.
type store struct {
	cfg      streams.Config
	mode     string           // nats.provision
	embedded *stream.Embedded // nil: external
	dir      string
	// publish and consume have a connection each, so that a slow reader never
	// holds up an answer to a sender.
	publish   *redial.JetStream
	consume   *redial.JetStream
	publisher *stream.Publisher
	spool     *stream.Spool // nil: none
	relay     *stream.Relay // nil: embedded
	alarms    *stream.Alarms
	settled   bool // the streams were once as they should be
	durables  *durableSet
	url       string
	log       *zap.Logger

	provisionedOnce sync.Once
	provisioned     chan struct{} // closed once the streams were what they are to be
}

// relayPatience is how long a bridge that is going away tries to empty its spool.
const relayPatience = 10 * time.Second

// openStore opens the store with its spool.
func openStore(cfg *config.Config, folder *stream.Folder, getenv func(string) (string, bool), log *zap.Logger, onStop *cleanup) (*store, error) {
	s, err := connectStore(cfg, folder, getenv, log, onStop)
	if err != nil {
		return nil, err
	}
	return s, s.openSpool(cfg, folder, onStop)
}

// connectStore starts or reaches NATS.
func connectStore(cfg *config.Config, folder *stream.Folder, getenv func(string) (string, bool), log *zap.Logger, onStop *cleanup) (*store, error) {
	replicas, err := cfg.NATS.ReplicaCount()
	if err != nil {
		return nil, err
	}
	s := &store{
		cfg: streams.Config{
			Names:      cfg.Names(),
			MaxBytes:   int64(cfg.NATS.Events.MaxBytes),
			MaxAge:     time.Duration(cfg.NATS.Events.MaxAge),
			Duplicates: cfg.Duplicates(),
			Replicas:   replicas,
		},
		mode:   cfg.NATS.Provision,
		dir:    cfg.DataDir,
		alarms: stream.NewAlarms(cfg.Names(), log),
		log:    log,

		provisioned: make(chan struct{}),
	}
	record, err := openRecord(cfg, folder, log.Named("durables"))
	if err != nil {
		return nil, err
	}
	s.durables = newDurableSet(cfg, s, record)
	open := func(name string) (*redial.JetStream, error) { return s.embedded.Open(name, s.alarms, log) }
	if cfg.NATS.URL == "" {
		err = s.startEmbedded(cfg, folder, onStop)
	} else {
		var external stream.ExternalConfig
		external, err = natsConfigOf(cfg.NATS, getenv, log)
		open = func(name string) (*redial.JetStream, error) {
			return stream.OpenExternal(external, name, s.alarms, log)
		}
	}
	if err != nil {
		return nil, err
	}
	for name, js := range map[string]**redial.JetStream{"hookspan-ingress": &s.publish, "hookspan-consumers": &s.consume} {
		if *js, err = open(name); err != nil {
			return nil, err
		}
		onStop.add("connection "+name, func() error { (*js).Close(); return nil })
	}
	s.publisher = stream.NewPublisher(s.publish, cfg.Names())
	s.publisher.SetAlarms(s.alarms)
	onStop.add("publisher", func() error { s.publisher.Close(); return nil })
	return s, nil
}

// openSpool gives an external store its spool, where webhooks are taken. Without
// that there is none, but what an earlier configuration left in one is emptied.
func (s *store) openSpool(cfg *config.Config, folder *stream.Folder, onStop *cleanup) error {
	if (s.embedded != nil || !cfg.Has(config.RoleIngress)) && !folder.HasSpool() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), provisionTimeout)
	defer cancel()
	var err error
	s.spool, err = stream.OpenSpool(ctx, folder, spoolOf(cfg), s.log)
	if err != nil {
		return err
	}
	onStop.add("spool", func() error { s.spool.Close(); return nil })
	if s.embedded != nil {
		return nil
	}
	s.relay = stream.NewRelay(s.publisher, []jetstream.JetStream{s.consume}, s.spool,
		stream.RelayConfig{Names: cfg.Names(), Local: cfg.Ingress.Ack == config.AckLocal}, s.alarms, s.log)
	onStop.add("relay", func() error { s.relay.Close(relayPatience); return nil })
	return nil
}

func spoolOf(c *config.Config) stream.SpoolConfig {
	return stream.SpoolConfig{Names: c.Names(), MaxBytes: int64(c.NATS.Spool.MaxBytes), Duplicates: c.Duplicates()}
}

// collectors are the metrics of the store.
func (s *store) collectors() []prometheus.Collector {
	out := s.publisher.Collectors()
	if s.relay != nil {
		out = append(out, s.relay)
	}
	return out
}

// keeper makes events and other messages durable.
type keeper interface {
	ingress.Publisher
	stream.Storer
}

// events is where the ingress publishes, and keeps what deserves the same.
func (s *store) events() keeper {
	if s.relay != nil {
		return s.relay
	}
	return s.publisher
}

func (s *store) startEmbedded(cfg *config.Config, folder *stream.Folder, onStop *cleanup) error {
	listen, standard := cfg.NATS.ListenAddress()
	var err error
	s.embedded, err = stream.StartEmbedded(folder, stream.EmbeddedConfig{
		Listen: listen, FreePort: standard, Names: cfg.Names(), Consumers: cfg.Owned(), Pull: cfg.Pulled(), Streams: s.cfg,
		Alarms: s.alarms, Position: s.durables.position,
	}, s.log)
	if err != nil {
		return err
	}
	onStop.add("embedded NATS", func() error { s.embedded.Close(); return nil })
	s.url = s.embedded.URL()
	if host, _, err := net.SplitHostPort(strings.TrimPrefix(s.url, "nats://")); err == nil && !net.ParseIP(host).IsLoopback() {
		s.log.Warn("NATS listens beyond this machine, and its clients' passwords travel in clear: use 127.0.0.1, or an external NATS with TLS",
			zap.String("nats.listen", host))
	}
	return nil
}

// external resolves the credentials. A password that is configured and missing
// is an error: nobody means to connect without it. Later its file is read at each
// connection; while that fails the last one is used.
func natsConfigOf(n config.NATS, getenv func(string) (string, bool), log *zap.Logger) (stream.ExternalConfig, error) {
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

// warnOfSmallPayload: what the NATS server does not take is answered 413.
func (s *store) warnOfSmallPayload(maxBody config.ByteSize) {
	if limit := config.ByteSize(s.publish.Conn().MaxPayload() - streams.HeaderRoom); limit < maxBody {
		s.log.Warn("the NATS server takes smaller messages than ingress.max_body: raise its max_payload, or lower ingress.max_body",
			zap.Stringer("largest_body", limit), zap.Stringer("max_body", maxBody))
	}
}

func (s *store) warnOfSmallDisk() {
	need, err := s.embedded.StoreBytes()
	if err != nil {
		s.log.Error("the space that events may need is unknown", zap.Error(err))
		return
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.dir, &fs); err != nil {
		s.log.Error("the free space of the disk is unknown", zap.Error(err))
		return
	}
	if free := int64(fs.Bavail) * int64(fs.Bsize); free < need+diskMargin { //nolint:unconvert // it is 32 bits wide on other systems
		s.log.Warn("the disk is smaller than events may need: set nats.events.max_bytes lower, or give the data folder more room",
			zap.Stringer("free", config.ByteSize(free)), zap.Stringer("events_may_need", config.ByteSize(need)))
	}
}

// publishEvent returns once the stream has the event, so it is no way around a NATS
// that is away: whoever publishes has read an event from there.
func (s *store) publishEvent(ctx context.Context, e *bridge.Event) error {
	_, err := s.publisher.Publish(ctx, e)
	return err
}

// reserve returns how many bytes must stay free on the disk of dir.
func (s *store) reserve(dir string) func() (int64, error) {
	return func() (int64, error) {
		shared, err := sameDisk(dir, s.dir)
		if err != nil || !shared {
			return diskMargin, err
		}
		need := int64(diskMargin)
		if s.embedded != nil {
			events, err := s.embedded.StoreBytes()
			if err != nil {
				return 0, err
			}
			need += events
		}
		if s.spool != nil {
			spool, err := s.spool.StoreBytes()
			if err != nil {
				return 0, err
			}
			need += spool
		}
		return need, nil
	}
}

func sameDisk(a, b string) (bool, error) {
	var sa, sb unix.Stat_t
	if err := errors.Join(unix.Stat(a, &sa), unix.Stat(b, &sb)); err != nil {
		return false, fmt.Errorf("comparing the disks of %s: %w", strings.Join([]string{a, b}, " and "), err)
	}
	return sa.Dev == sb.Dev, nil
}
