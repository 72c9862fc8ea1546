package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const clusterSize = 3

// cluster is NATS servers that reach each other only through proxies, one for each
// ordered pair, so that they can be parted.
type cluster struct {
	nodes  [clusterSize]*node
	routes [clusterSize][clusterSize]*proxy // from, to
}

// clusterConfig has nobody tell of addresses that lead around the proxies, and
// servers see soon that a route leads nowhere.
const clusterConfig = `cluster {
  name: chaos
  listen: 127.0.0.1:%d
  advertise: "127.0.0.1:1"
  no_advertise: true
  pool_size: -1
  ping_interval: 2s
  ping_max: 2
  routes: [%s]
}`

func (l *lab) startCluster(ctx context.Context) (*cluster, error) {
	c := &cluster{}
	var ports [clusterSize]int
	var err error
	for i := range ports {
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	for from := range clusterSize {
		var routes []string
		for to := range clusterSize {
			if from == to {
				continue
			}
			p, err := newProxy(ctx, fmt.Sprintf("127.0.0.1:%d", ports[to]))
			if err != nil {
				return nil, err
			}
			l.onClose(p.close)
			c.routes[from][to] = p
			routes = append(routes, fmt.Sprintf("%q", "nats://"+p.addr()))
		}
		more := fmt.Sprintf(clusterConfig, ports[from], strings.Join(routes, ", "))
		if c.nodes[from], err = l.newNode(fmt.Sprintf("nats-%d", from), more); err != nil {
			return nil, err
		}
	}
	for _, n := range c.nodes {
		if err := n.start(ctx); err != nil {
			return nil, err
		}
	}
	return c, c.waitLeader(ctx)
}

// urls are those of all servers.
func (c *cluster) urls() string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.url())
	}
	return strings.Join(all, ",")
}

// waitLeader waits until JetStream has elected who answers.
func (c *cluster) waitLeader(ctx context.Context) error {
	return c.eventually(ctx, "JetStream to answer", func(ctx context.Context, js jetstream.JetStream) bool {
		_, err := js.AccountInfo(ctx)
		return err == nil
	})
}

// waitCurrent waits until the stream has a leader and all copies of it are whole.
func (c *cluster) waitCurrent(ctx context.Context) error {
	return c.eventually(ctx, "the stream to be whole", func(ctx context.Context, js jetstream.JetStream) bool {
		stream, err := js.Stream(ctx, eventsStream)
		if err != nil {
			return false
		}
		info := stream.CachedInfo().Cluster
		if info == nil || info.Leader == "" || len(info.Replicas) != clusterSize-1 {
			return false
		}
		for _, r := range info.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
		return true
	})
}

func (c *cluster) eventually(ctx context.Context, what string, is func(ctx context.Context, js jetstream.JetStream) bool) error {
	nc, err := connectNATS(c.urls())
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		asked, stop := context.WithTimeout(ctx, 2*time.Second)
		done := is(asked, js)
		stop()
		if done {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

// leader is the server that leads the stream of events.
func (c *cluster) leader(ctx context.Context) (*node, error) {
	nc, err := connectNATS(c.urls())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	info, err := streamState(ctx, nc)
	if err != nil {
		return nil, err
	}
	for _, n := range c.nodes {
		if info.Cluster != nil && info.Cluster.Leader == n.name {
			return n, nil
		}
	}
	return nil, errors.New("the stream of events has no leader")
}

// part cuts one server off from the others, or lets it be with them again.
func (c *cluster) part(alone int, mode proxyMode) {
	for other := range clusterSize {
		if other != alone {
			c.routes[alone][other].set(mode)
			c.routes[other][alone].set(mode)
		}
	}
}

// serving is the server that the bridge publishes to.
func (c *cluster) serving(ctx context.Context) (int, error) {
	for i, n := range c.nodes {
		serves, err := n.serves(ctx)
		if err != nil {
			return 0, err
		}
		if serves {
			return i, nil
		}
	}
	return 0, errors.New("the bridge is connected to no NATS server")
}
