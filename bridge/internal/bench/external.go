package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	externalConnections = 256
	// syncAlways and syncSeldom are sync_interval of a NATS server: before each
	// acknowledgement, and the default.
	syncAlways, syncSeldom = "always", "2m"
)

// measureExternal compares a bridge in front of a NATS server with a plain client
// of that server.
func (b *bench) measureExternal(ctx context.Context) (f finding, err error) {
	p, err := newPool(poolSize(externalConnections, window{b.warm, b.time}), failedWebhook())
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var relayed, singles []sample
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		r, s, err := b.externalRound(ctx, round, p)
		if err != nil {
			return f, fmt.Errorf("round %d: %w", round+1, err)
		}
		relayed, singles = append(relayed, r), append(singles, s)
	}
	f.text = fmt.Sprintf("A NATS server with `sync_interval: always` in a process of its own on the same machine, reached over TCP. **whole** is `hookspan serve` in another process, with its spool, and %d connections. "+
		"**single** is a plain client without a bridge, `PublishMsg` by %d goroutines to the same stream.", externalConnections, externalConnections)
	f.head = []string{" way", "events/s", "p50 ms", "p99 ms"}
	f.row("whole", integer(over(relayed, sample.perSecond)), decimal(over(relayed, sample.p50ms)), decimal(over(relayed, sample.p99ms)))
	f.row("single", integer(over(singles, sample.perSecond)), decimal(over(singles, sample.p50ms)), decimal(over(singles, sample.p99ms)))
	r := paired(relayed, singles, rates)
	f.atLeast(r, 4, 0, "external NATS that syncs always, 256 connections: at least 4 times single publishes", times(r))
	return f, nil
}

func (b *bench) externalRound(ctx context.Context, round int, p *pool) (relayed, singles sample, err error) {
	dir := b.inDir("external")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := newServers(ctx, dir, 1, syncAlways, false)
	if err != nil {
		return relayed, singles, err
	}
	if err := servers[0].start(ctx); err != nil {
		return relayed, singles, err
	}
	defer func() { err = errors.Join(err, servers[0].stop()) }()
	c, err := b.startBridge(ctx, bridgeConfig{dir: dir, nats: fmt.Sprintf("{url: %q}", servers[0].url)})
	if err != nil {
		return relayed, singles, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.waitDirect(ctx); err != nil {
		return relayed, singles, err
	}
	js, err := connect(servers[0].url)
	if err != nil {
		return relayed, singles, err
	}
	defer js.Conn().Close()
	w := window{warm: b.warm, measured: b.time}
	for turn := range 2 {
		p.renew(p.count)
		if (round+turn)%2 == 0 {
			relayed, err = c.load(ctx, externalConnections, p, w)
		} else {
			singles, err = measureClient(ctx, js, false, externalConnections, p, w)
		}
		if err != nil {
			return relayed, singles, err
		}
	}
	return relayed, singles, nil
}

const directTick = 100 * time.Millisecond

// waitDirect returns when the bridge stores in the external NATS, not in its spool.
func (c *child) waitDirect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := c.sendOne(ctx, failedWebhook())
		if err == nil {
			return nil
		}
		if pause(ctx, directTick) != nil {
			return fmt.Errorf("waiting until the bridge reaches NATS: %w", err)
		}
	}
}

// eventsStream is the name of the stream that bridges with default names use.
func eventsStream() string { return bridge.Names{}.EventsStream() }
