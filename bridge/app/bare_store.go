package app

import (
	"context"
	"errors"

	"github.com/hookspan/hookspan/internal/redial"
)

// bareStore is the NATS of a configuration without a bridge on it.
type bareStore struct {
	*store

	js      *redial.JetStream
	cleanup *cleanup
}

// openBare connects to the external NATS of e's configuration under a name, or starts its embedded
// one, that nobody else can enter. An unsynced one syncs when it is closed. The caller calls close.
func openBare(ctx context.Context, e *env, name string, unsynced bool) (*bareStore, error) {
	cfg := *e.cfg
	cfg.NATS.Listen = new(string)
	own := &env{cfg: &cfg, getenv: e.getenv, version: e.version, log: e.log, folder: e.folder}
	s, err := newStore(own)
	if err != nil {
		return nil, err
	}
	s.unsynced = unsynced
	b := &bareStore{store: s, cleanup: &own.onStop}
	connect, err := s.reachNATS() //nolint:contextcheck // the server goes on until close
	if err == nil {
		b.js, err = connect(name)
	}
	if err != nil {
		return nil, errors.Join(err, b.close())
	}
	own.onStop.add("connection "+name, func() error { b.js.Close(); return nil })
	s.publish, s.consume = b.js, b.js
	ctx, cancel := context.WithTimeout(ctx, provisionTimeout)
	defer cancel()
	if err := s.connected(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

func (b *bareStore) close() error { return b.cleanup.run() }
