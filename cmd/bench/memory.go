package main

import (
	"context"
	"errors"
	"math"
	"path/filepath"
)

const (
	manyWebhooks    = 20_000
	manyConnections = 64
)

// memory is what a bridge of its own took, in bytes.
type memory struct {
	idle, loaded, peak int64
	rate               float64 // webhooks per second
}

// measureMemory runs a bridge with every default but its addresses and the size
// of the stream. The webhooks tell of failures, which the archive does not read:
// nothing is asked of the provider's hosts.
func (b *bench) measureMemory(ctx context.Context) (m memory, err error) {
	b.progress("memory of an idle bridge")
	c, err := startChild(ctx, b.hookspan, filepath.Join(b.dir, "idle"), "")
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.sendOne(ctx, failedWebhook()); err != nil {
		return m, err
	}
	if m.idle, err = c.settled(ctx); err != nil {
		return m, err
	}
	b.progress("memory after %d webhooks", manyWebhooks)
	if m.rate, err = c.sendMany(ctx); err != nil {
		return m, c.explain(err)
	}
	if m.loaded, err = c.settled(ctx); err != nil {
		return m, err
	}
	m.peak, err = c.size("VmHWM")
	return m, err
}

// sendOne posts one webhook and returns when the bridge has it.
func (c *child) sendOne(ctx context.Context, w webhook) (err error) {
	p, err := newPool(1, w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew()
	return c.post(ctx, p)
}

// post sends the first request of the pool.
func (c *child) post(ctx context.Context, p *pool) error {
	s, err := dial(ctx, c.addr)
	if err != nil {
		return c.explain(err)
	}
	defer s.close()
	if err := s.send(p.request(0)); err != nil {
		return c.explain(err)
	}
	return nil
}

func (c *child) sendMany(ctx context.Context) (rate float64, err error) {
	p, err := newPool(manyWebhooks, failedWebhook())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	p.renew()
	workers, hangUp, err := senders(ctx, c.addr, manyConnections, p)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	s, err := load(ctx, workers, p, window{measured: math.MaxInt64})
	return s.rate, err
}
