package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// relayPatience is how long a bridge that ends tries to empty its spool.
const relayPatience = 10 * time.Second

// openSpool opens the spool of an external store, where webhooks are taken. Otherwise it opens
// only a spool that an earlier configuration left, to empty it.
func (s *store) openSpool() (err error) {
	if (s.embedded != nil || !s.cfg.Has(config.RoleIngress)) && !s.folder.HasSpool() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), provisionTimeout)
	defer cancel()
	if s.spool, err = stream.OpenSpool(ctx, s.folder, spoolConfig(s.cfg), s.log); err != nil {
		return err
	}
	s.onStop.add("spool", func() error { s.spool.Close(); return nil })
	if s.embedded != nil {
		return nil
	}
	s.relay = stream.NewRelay(s.publisher, []jetstream.JetStream{s.consume}, s.spool,
		stream.RelayConfig{Names: s.cfg.Names(), Local: s.cfg.Ingress.Ack == config.AckLocal}, s.alarms, s.log)
	s.onStop.add("relay", func() error { s.relay.Close(relayPatience); return nil })
	return nil
}

func spoolConfig(c *config.Config) stream.SpoolConfig {
	return stream.SpoolConfig{Names: c.Names(), MaxBytes: int64(c.NATS.Spool.MaxBytes), Duplicates: c.Duplicates()}
}

// Spool is the spool in the data folder of a bridge that does not run. A running bridge drains
// its spool itself.
type Spool struct {
	*stream.Spool

	cfg    *config.Config
	folder *datafolder.Folder
}

// OpenSpool locks the data folder. The caller calls Close. The error wraps [ErrFolderInUse]
// while a bridge runs.
func OpenSpool(ctx context.Context, cfg *config.Config) (*Spool, error) {
	folder, err := datafolder.Open(cfg.DataDir)
	if errors.Is(err, datafolder.ErrInUse) {
		return nil, fmt.Errorf("%w (a running bridge drains its spool by itself)", err)
	}
	if err != nil {
		return nil, err
	}
	if !folder.HasSpool() {
		return nil, errors.Join(fmt.Errorf("there is no spool in %s", folder.Dir()), folder.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	spool, err := stream.OpenSpool(ctx, folder, spoolConfig(cfg), zap.NewNop())
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return &Spool{Spool: spool, cfg: cfg, folder: folder}, nil
}

// Close unlocks the folder.
func (s *Spool) Close() error {
	s.Spool.Close()
	return s.folder.Close()
}

// Export calls visit for each message, which visit is to write as JSON, until visit returns an
// error. The messages stay in the spool.
func (s *Spool) Export(ctx context.Context, visit func(message any) error) error {
	return s.Each(ctx, func(m stream.SpooledMessage) error { return visit(m) })
}

// Drain moves the messages to NATS, except those that NATS refuses, and returns how many it
// moved. Drain provisions first, since a publish needs streams that can keep it.
func (s *Spool) Drain(ctx context.Context, opts Options) (drained uint64, err error) {
	e, err := newEnv(s.cfg, opts, nil)
	if err != nil {
		return 0, err
	}
	e.folder = s.folder
	defer func() { err = errors.Join(err, e.onStop.run()) }()
	store, err := connectStore(e) //nolint:contextcheck // what it starts goes on until onStop
	if err != nil {
		return 0, err
	}
	if err := newProvisioner(store).untilUsable(ctx); err != nil {
		return 0, err
	}
	drainer := stream.NewDrainer(s.Spool, store.publisher, store.alarms, e.log)
	err = drainer.Empty(ctx)
	return drainer.Drained(), err
}
