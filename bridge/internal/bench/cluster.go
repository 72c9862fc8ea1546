package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	clusterRate        = 500
	clusterConnections = 128
	clusterBar         = 25   // ms
	lossBar            = 1500 // ms
	// lossTime is how long a round goes on after its leader was killed.
	lossTime    = 5 * time.Second
	clusterTick = 100 * time.Millisecond
	askTimeout  = 2 * time.Second
)

// cluster is three NATS servers with a bridge in front.
type cluster struct {
	servers []*natsServer
	bridge  *child
	js      jetstream.JetStream
}

// measureCluster looks at the answers while three slowed servers do well, and when
// the leader of the stream is killed.
func (b *bench) measureCluster(ctx context.Context) (f finding, err error) {
	if f.text = noSlower(); f.text != "" {
		return f, nil
	}
	c, err := b.startCluster(ctx)
	defer func() { err = errors.Join(err, c.close()) }()
	if err != nil {
		return f, err
	}
	w := window{warm: b.warm, measured: lossTime + time.Second}
	p, err := openPool(clusterRate, w, 3*b.rounds)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	plain, err := clients(clusterConnections, p, singly(c.js))
	if err != nil {
		return f, err
	}
	var bare50, bare99, p50, p99, slowest, added []float64
	for round := range b.rounds {
		b.progress("round %d of %d", round+1, b.rounds)
		alone, err := openLoop(ctx, plain, clusterRate, p, b.steady())
		if err != nil {
			return f, err
		}
		bare50, bare99 = append(bare50, inMs(percentile(alone, 50))), append(bare99, inMs(percentile(alone, 99)))
		took, err := openLoopAt(ctx, c.bridge.addr, clusterConnections, clusterRate, p, b.steady())
		if err != nil {
			return f, c.bridge.explain(err)
		}
		quiet := inMs(percentile(took, 50))
		p50, p99 = append(p50, quiet), append(p99, inMs(percentile(took, 99)))
		most, err := c.loseLeader(ctx, p, w)
		if err != nil {
			return f, c.bridge.explain(err)
		}
		slowest, added = append(slowest, inMs(most)), append(added, inMs(most)-quiet)
	}
	f.text = fmt.Sprintf("Three NATS servers with `sync_interval: always`, each a process of its own, the stream at three replicas, and `hookspan serve` in front; each fsync of all four takes %v longer. "+
		"%d requests a second over %d connections, by the clock. **bare** is a plain client without a bridge, `PublishMsg` at the same rate into the same stream, just before. Then the server that leads the stream is ended with SIGKILL while they go on, and started again behind. Every request was answered 200; what the slowest answer took longer than the median before is what the loss added.",
		slowBy, clusterRate, clusterConnections)
	f.head = []string{"", "ms"}
	f.row("bare, p50", decimal(spreadOf(bare50)))
	f.row("bare, p99", decimal(spreadOf(bare99)))
	f.row("p50", decimal(spreadOf(p50)))
	f.row("p99", decimal(spreadOf(p99)))
	f.row("the slowest answer when the leader is lost", integer(spreadOf(slowest)))
	quiet, loss := spreadOf(p99), spreadOf(added)
	f.under(quiet, clusterBar, "three servers, every fsync 2 ms slower, 500 requests a second: p99 under 25 ms", decimal(quiet)+" ms")
	// Any answer means the worst of all rounds.
	f.under(spread{median: loss.high}, lossBar, "losing the leader adds less than 1.5 s to any answer, in every round, and refuses none", integer(loss)+" ms")
	return f, nil
}

func (b *bench) startCluster(ctx context.Context) (c *cluster, err error) {
	c = &cluster{}
	dir := b.inDir("cluster")
	if c.servers, err = newServers(ctx, dir, 3, syncAlways, true); err != nil {
		return c, err
	}
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.url)
		if err := s.start(ctx); err != nil {
			return c, err
		}
	}
	all := strings.Join(urls, ",")
	if c.js, err = connect(all); err != nil {
		return c, err
	}
	if err := c.until(ctx, "the cluster has a leader", func(ctx context.Context) bool {
		_, err := c.js.AccountInfo(ctx)
		return err == nil
	}); err != nil {
		return c, err
	}
	if c.bridge, err = b.startBridge(ctx, bridgeConfig{dir: dir, nats: fmt.Sprintf("{url: %q, replicas: 3, events: {max_bytes: 256MiB}}", all), slow: true}); err != nil {
		return c, err
	}
	if err := c.bridge.waitDirect(ctx); err != nil {
		return c, err
	}
	return c, c.untilWhole(ctx)
}

func (c *cluster) close() error {
	var errs []error
	if c.bridge != nil {
		errs = append(errs, c.bridge.stop())
	}
	if c.js != nil {
		c.js.Conn().Close()
	}
	for _, s := range c.servers {
		if s.process != nil {
			// A server of a cluster that goes away takes its time.
			errs = append(errs, s.kill())
		}
	}
	return errors.Join(errs...)
}

// loseLeader kills the leader of the stream while requests go on, and starts it
// again. It returns how long the slowest answer took.
func (c *cluster) loseLeader(ctx context.Context, p *pool, w window) (most time.Duration, err error) {
	workers, hangUp, err := sendersBy(ctx, c.bridge.addr, clusterConnections, p, (*sender).sendSafely)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	leader, err := c.leader(ctx)
	if err != nil {
		return 0, err
	}
	type answer struct {
		took []time.Duration
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		took, err := openLoop(ctx, workers, clusterRate, p, w)
		answers <- answer{took, err}
	}()
	err = errors.Join(pause(ctx, w.warm+w.measured-lossTime), leader.kill())
	a := <-answers
	if err := errors.Join(err, a.err, leader.start(ctx), c.untilWhole(ctx), c.bridge.waitDirect(ctx)); err != nil {
		return 0, err
	}
	return percentile(a.took, 100), nil
}

func (c *cluster) leader(ctx context.Context) (*natsServer, error) {
	stream, err := c.js.Stream(ctx, eventsStream())
	if err != nil {
		return nil, fmt.Errorf("asking who leads the stream: %w", err)
	}
	for _, s := range c.servers {
		if s.name == stream.CachedInfo().Cluster.Leader {
			return s, nil
		}
	}
	return nil, errors.New("asking who leads the stream: nobody does")
}

// untilWhole returns when every replica of the stream has caught up.
func (c *cluster) untilWhole(ctx context.Context) error {
	return c.until(ctx, "every replica has caught up", func(ctx context.Context) bool {
		stream, err := c.js.Stream(ctx, eventsStream())
		if err != nil || stream.CachedInfo().Cluster == nil {
			return false
		}
		current := 0
		for _, peer := range stream.CachedInfo().Cluster.Replicas {
			if peer.Current && !peer.Offline {
				current++
			}
		}
		return stream.CachedInfo().Cluster.Leader != "" && current == len(c.servers)-1
	})
}

func (c *cluster) until(ctx context.Context, what string, is func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		// A question that nobody was there to answer stays without one.
		asking, stop := context.WithTimeout(ctx, askTimeout)
		yes := is(asking)
		stop()
		if yes {
			return nil
		}
		if err := pause(ctx, clusterTick); err != nil {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
	}
}
