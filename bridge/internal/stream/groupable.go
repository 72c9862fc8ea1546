package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// ableAge is how long a change of the stream may go unnoticed.
	ableAge = 30 * time.Second
	// ableRetry is the pause after a failed check; it doubles up to ableAge.
	ableRetry = time.Second
	ableWait  = 5 * time.Second
)

// watch keeps able up to date with the stream and the server. When a connection ends it ends
// the batch in flight, whose answer cannot arrive any more.
func (c *committer) watch() {
	nc := c.js.Conn()
	changes := nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	defer func() { nc.RemoveStatusListener(changes) }()
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := ableRetry
	for {
		select {
		case <-c.ctx.Done():
			return
		case status := <-changes:
			c.able.Store(false)
			if status != nats.CONNECTED {
				c.cut()
				c.poke()
				continue
			}
		case <-c.check:
		case <-timer.C:
		}
		if now := c.js.Conn(); now != nc { // the old one was closed for good
			nc.RemoveStatusListener(changes)
			nc, changes = now, now.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
		}
		able, err := c.canBatch()
		c.able.Store(able)
		c.poke() // for those who wait for a batch that cannot be made any more
		if err == nil {
			retry = ableRetry
			timer.Reset(ableAge)
			continue
		}
		timer.Reset(retry)
		retry = min(2*retry, ableAge)
	}
}

// look makes watch check at once.
func (c *committer) look() {
	select {
	case c.check <- struct{}{}:
	default:
	}
}

func (c *committer) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.interrupt != nil {
		c.interrupt()
	}
}

// canBatch asks the server. Only a stream with one replica in files gains by a batch: several
// replicas share syncs by themselves.
func (c *committer) canBatch() (bool, error) {
	switch c.js.Conn().Status() {
	case nats.CONNECTED:
	case nats.CLOSED:
		return false, nats.ErrConnectionClosed // the next one says nothing when it is there
	default:
		return false, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, ableWait)
	defer cancel()
	stream, err := c.js.Stream(ctx, c.stream)
	if err != nil {
		return false, err
	}
	return batchable(stream.CachedInfo().Config, c.js.Conn().ConnectedServerVersion()), nil
}

// batchable reports whether a batch costs one sync on the server. Servers before 2.15 sync each
// of its messages.
func batchable(cfg jetstream.StreamConfig, server string) bool {
	return cfg.AllowAtomicPublish && cfg.Replicas == 1 && cfg.Storage == jetstream.FileStorage && versionAtLeast(server, 2, 15)
}

// versionAtLeast reports whether a server's version is at least major.minor; false for an
// unreadable version.
func versionAtLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}
