package rig

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const clusterSize = 3

// Cluster is three NATS servers.
type Cluster struct {
	Servers [clusterSize]*NATS
	js      jetstream.JetStream
	rig     *Rig
	routes  [clusterSize][clusterSize]*Proxy // from, to; nil when they cannot be parted
}

// partible has nobody tell of addresses that lead around the proxies, and servers see
// soon that a route leads nowhere.
const partible = `advertise: "127.0.0.1:1", no_advertise: true, pool_size: -1, ping_interval: 2s, ping_max: 2,`

// StartCluster runs three servers and returns when JetStream answers. Servers that are
// to be parted reach each other only through proxies, one for each ordered pair.
func (r *Rig) StartCluster(slow time.Duration, parted bool) *Cluster {
	c := &Cluster{rig: r}
	var ports [clusterSize]int
	for i := range ports {
		ports[i] = FreePort()
	}
	for from := range clusterSize {
		var routes []string
		more := ""
		for to := range clusterSize {
			addr := fmt.Sprintf("127.0.0.1:%d", ports[to])
			if from != to && parted {
				c.routes[from][to] = r.StartProxy(addr)
				addr, more = c.routes[from][to].Addr, partible
			}
			if from != to {
				routes = append(routes, fmt.Sprintf("%q", "nats://"+addr))
			}
		}
		c.Servers[from] = r.NewNATS(NATSConfig{
			Name: fmt.Sprintf("nats-%d", from), Slow: slow,
			More: fmt.Sprintf(`cluster { name: rig, listen: "127.0.0.1:%d", %s routes: [%s] }`, ports[from], more, strings.Join(routes, ", ")),
		})
	}
	for _, n := range c.Servers {
		n.Start()
	}
	c.js = Must(jetstream.New(r.Connect(c.URLs())))
	c.until("JetStream answers", func(ctx context.Context) bool {
		_, err := c.js.AccountInfo(ctx)
		return err == nil
	})
	return c
}

func (c *Cluster) until(what string, is func(ctx context.Context) bool) {
	Check(c.rig.Until(what, startTimeout, 100*time.Millisecond, is))
}

// JetStream is a client of all servers.
func (c *Cluster) JetStream() jetstream.JetStream { return c.js }

// URLs are those of all servers.
func (c *Cluster) URLs() string {
	var all []string
	for _, n := range c.Servers {
		all = append(all, n.URL)
	}
	return strings.Join(all, ",")
}

// WaitWhole waits until the stream of events has a leader and every replica of it has
// caught up.
func (c *Cluster) WaitWhole() {
	c.until("the stream is whole", func(ctx context.Context) bool {
		stream, err := c.js.Stream(ctx, EventsStream)
		if err != nil || stream.CachedInfo().Cluster == nil || stream.CachedInfo().Cluster.Leader == "" {
			return false
		}
		current := 0
		for _, peer := range stream.CachedInfo().Cluster.Replicas {
			if peer.Current && !peer.Offline {
				current++
			}
		}
		return current == clusterSize-1
	})
}

// Leader is the server that leads the stream of events.
func (c *Cluster) Leader() *NATS {
	info := StreamInfo(c.rig.ctx, c.js)
	for _, n := range c.Servers {
		if info.Cluster != nil && info.Cluster.Leader == n.Name {
			return n
		}
	}
	Check(errors.New("the stream of events has no leader"))
	return nil
}

// Serving is the number of the server that a bridge publishes to.
func (c *Cluster) Serving() int {
	for i, n := range c.Servers {
		if n.serves() {
			return i
		}
	}
	Check(errors.New("the bridge is connected to no NATS server"))
	return 0
}

// Part cuts one server off from the others, or lets it be with them again.
func (c *Cluster) Part(alone int, mode ProxyMode) {
	for other := range clusterSize {
		if other != alone {
			c.routes[alone][other].Set(mode)
			c.routes[other][alone].Set(mode)
		}
	}
}
