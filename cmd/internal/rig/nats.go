package rig

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// NATSConfig says how a NATS server runs.
type NATSConfig struct {
	Name string // default "nats"
	Sync string // sync_interval, default "always"
	Slow time.Duration
	More string // added to its configuration
}

// NATS is a NATS server of Hookspan's version as a process of its own, which can be
// started again as what it was.
type NATS struct {
	*Process // nil before the first start
	Name     string
	URL      string
	// Store is the folder of its streams, Config its configuration file.
	Store, Config string

	rig     *Rig
	slow    time.Duration
	monitor string
}

const natsText = `server_name: %s
listen: 127.0.0.1:%d
http: 127.0.0.1:%d
max_payload: 8MB
jetstream { store_dir: %q, sync_interval: %s, max_file_store: 64GB }
%s
`

// NewNATS configures a server that is not started yet.
func (r *Rig) NewNATS(c NATSConfig) *NATS {
	name, port, monitor := cmp.Or(c.Name, "nats"), FreePort(), FreePort()
	n := &NATS{
		Name: name, URL: fmt.Sprintf("nats://127.0.0.1:%d", port), Store: r.Path(name), Config: r.Path(name + ".conf"),
		rig: r, slow: c.Slow, monitor: fmt.Sprintf("http://127.0.0.1:%d", monitor),
	}
	text := fmt.Sprintf(natsText, name, port, monitor, n.Store, cmp.Or(c.Sync, "always"), c.More)
	Check(os.WriteFile(n.Config, []byte(text), 0o600))
	return n
}

// StartNATS runs one server.
func (r *Rig) StartNATS(c NATSConfig) *NATS {
	n := r.NewNATS(c)
	n.Start()
	return n
}

// Start runs the server, for the first time or again.
func (n *NATS) Start() {
	if n.rig.NATSBinary == "" {
		n.Process = n.rig.StartMode(n.Name, n.slow, modeNATS, n.Config)
		return
	}
	// A nats-server prints no line when it is ready, so the shell that becomes it prints one.
	n.Process = n.rig.Start(Command{
		Name: n.Name, Slow: n.slow,
		Args: []string{"/bin/sh", "-c", `printf '{"pid":%d}\n' $$; exec "$0" -c "$1" 1>&2`, n.rig.NATSBinary, n.Config},
	})
	Check(n.rig.Until(n.Name+" listens", startTimeout, 20*time.Millisecond, func(ctx context.Context) bool {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(n.URL, "nats://"))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}))
}

// Connect reaches the server.
func (n *NATS) Connect() *nats.Conn { return n.rig.Connect(n.URL) }

// Connect returns a plain client of NATS, which is closed at the end.
func (r *Rig) Connect(urls string, options ...nats.Option) *nats.Conn {
	options = append(options, nats.Name("hookspan-rig"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	nc, err := nats.Connect(urls, options...)
	Check(err, "connecting to NATS")
	r.OnClose(func() error { nc.Close(); return nil })
	return nc
}

// serves reports whether the connection by which a bridge publishes is with this server.
func (n *NATS) serves() bool {
	var connz server.Connz
	Check(json.Unmarshal(n.rig.Get(n.monitor+"/connz"), &connz))
	for _, c := range connz.Conns {
		if strings.HasPrefix(c.Name, "hookspan-ingress") {
			return true
		}
	}
	return false
}

const clusterSize = 3

// Cluster is three NATS servers.
type Cluster struct {
	Servers [clusterSize]*NATS
	JS      jetstream.JetStream // a client of all servers
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
	c.JS = Must(jetstream.New(r.Connect(c.URLs())))
	// JetStream answers before its leader knows all servers, and then has no place for a stream.
	probe := jetstream.StreamConfig{Name: "PROBE", Subjects: []string{"rig.probe"}, Replicas: clusterSize}
	c.until("JetStream has all its servers", func(ctx context.Context) bool {
		_, err := c.JS.CreateStream(ctx, probe)
		return err == nil
	})
	Check(c.JS.DeleteStream(r.ctx, probe.Name), "removing a probe")
	return c
}

func (c *Cluster) until(what string, is func(ctx context.Context) bool) {
	Check(c.rig.Until(what, startTimeout, 100*time.Millisecond, is))
}

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
		stream, err := c.JS.Stream(ctx, EventsStream)
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
	info := StreamInfo(c.rig.ctx, c.JS)
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
