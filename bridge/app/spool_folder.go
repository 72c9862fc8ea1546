package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// Spool is the spool in the data folder of a bridge that is gone. A bridge that runs
// drains its spool by itself.
type Spool struct {
	*stream.Spool

	cfg    *config.Config
	folder *datafolder.Folder
}

// OpenSpool takes the data folder. The error wraps ErrFolderInUse while a bridge runs.
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
	spool, err := stream.OpenSpool(ctx, folder, spoolOf(cfg), zap.NewNop())
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return &Spool{Spool: spool, cfg: cfg, folder: folder}, nil
}

// Close gives the folder back.
func (s *Spool) Close() error {
	s.Spool.Close()
	return s.folder.Close()
}

// Export calls visit for each message, which is to be written as JSON, until visit
// returns an error. The messages stay in the spool.
func (s *Spool) Export(ctx context.Context, visit func(message any) error) error {
	return s.Each(ctx, func(m stream.SpooledMessage) error { return visit(m) })
}

// Drain moves the messages to NATS until none is left but those that NATS does not take,
// and returns the number of messages that were moved. It provisions first, since nothing
// is published to streams that cannot keep it.
func (s *Spool) Drain(ctx context.Context, opts Options) (drained uint64, err error) {
	opts.fill()
	log, err := newLogger(s.cfg, opts.Log, nil)
	if err != nil {
		return 0, err
	}
	var onStop cleanup
	defer func() { err = errors.Join(err, onStop.run()) }()
	store, err := connectStore(s.cfg, s.folder, opts.Getenv, log, &onStop)
	if err != nil {
		return 0, err
	}
	if err := store.provisionWithin(ctx); err != nil {
		return 0, err
	}
	drainer := stream.NewDrainer(s.Spool, store.publisher, store.alarms, log)
	err = drainer.Empty(ctx)
	return drainer.Drained(), err
}

// provisionWithin waits until the store can be used, or ctx ends.
func (s *store) provisionWithin(ctx context.Context) error {
	for {
		failed, err := s.provisionOnce(ctx)
		if failed != nil {
			s.log.Error("a consumer's durable is not what it is to be", zap.Error(failed))
		}
		if err == nil || errors.Is(err, stream.ErrUnfit) {
			return err
		}
		s.log.Warn("NATS cannot be used yet, trying again", zap.Duration("in", provisionRetry), zap.Error(err))
		select {
		case <-ctx.Done():
			return err
		case <-time.After(provisionRetry):
		}
	}
}
