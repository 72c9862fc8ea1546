package stream

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/lasting"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// maxPending bounds the bytes that the server buffers for slow readers of other programs,
	// over all connections. The server's own limit, 64 MiB, is per connection.
	maxPending = 128 << 20
	// pendingEvery is the time between two checks while others are connected.
	pendingEvery = 50 * time.Millisecond
)

// Limits of each account of other programs.
const (
	appConnections  = 256
	pullConnections = 64
	// programSubscriptions bounds those of one connection, maxSubscriptions those of all: an
	// event is delivered to each matching one before the next webhook is served.
	programSubscriptions = 512
	maxSubscriptions     = 2048

	maxNameInAlarm = 128
	// ownConnections bounds the bridge's own connections.
	ownConnections = 3
	// connectionsLookedAt exceeds the limit of connections that accounts have.
	connectionsLookedAt = 4096
)

// guard disconnects programs of others that do not read, the slowest reader first.
type guard struct {
	server func() *server.Server
	alarms bridge.Alarmer
	most   atomic.Int64 // most bytes buffered for all others; maxPending except in tests
	stop   chan struct{}
	done   chan struct{}
}

func startGuard(s func() *server.Server, alarms bridge.Alarmer) *guard {
	g := &guard{server: s, alarms: alarms, stop: make(chan struct{}), done: make(chan struct{})}
	g.most.Store(maxPending)
	go g.run()
	return g
}

func (g *guard) close() {
	close(g.stop)
	<-g.done
}

func (g *guard) run() {
	defer close(g.done)
	tick := time.NewTicker(pendingEvery)
	defer tick.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-tick.C:
			g.look()
		}
	}
}

// look disconnects as many as needed.
func (g *guard) look() {
	s := g.server()
	if s.NumClients() <= ownConnections {
		return
	}
	connections, err := s.Connz(&server.ConnzOptions{Username: true, Limit: connectionsLookedAt})
	if err != nil {
		return // not running
	}
	others := slices.DeleteFunc(connections.Conns, func(c *server.ConnInfo) bool { return c.Account == ownAccount })
	g.bound(s, others, func(c *server.ConnInfo) int { return c.Pending }, int(g.most.Load()),
		"does not read what it asked for and was disconnected, so that webhooks keep the memory of this process: have it ask for less at a time, and read")
	g.bound(s, others, func(c *server.ConnInfo) int { return int(c.NumSubs) }, maxSubscriptions,
		"has more subscriptions than any other while there are too many, and was disconnected, so that webhooks keep their time: read with a durable")
}

// bound disconnects those that have most of a quantity, until all together have at most most.
func (g *guard) bound(s *server.Server, others []*server.ConnInfo, of func(*server.ConnInfo) int, most int, why string) {
	sum := 0
	for _, c := range others {
		sum += of(c)
	}
	if sum <= most {
		return
	}
	slices.SortFunc(others, func(a, b *server.ConnInfo) int { return of(b) - of(a) })
	for _, c := range others {
		if sum <= most {
			return
		}
		if s.DisconnectClientByID(c.Cid) == nil {
			sum -= of(c)
			g.tell(c, why)
		}
	}
}

func (g *guard) tell(c *server.ConnInfo, why string) {
	if g.alarms == nil {
		return
	}
	g.alarms.Raise(lasting.Again(bridge.Alarm{
		Kind: bridge.AlarmQuota, Subject: c.AuthorizedUser,
		Text:    "a program of NATS user " + c.AuthorizedUser + " " + why,
		Details: map[string]any{"connection": printable.Truncate(c.Name, maxNameInAlarm), "host": c.IP, "pending_bytes": c.Pending, "subscriptions": c.NumSubs},
	}, "no program of NATS user "+c.AuthorizedUser+" was disconnected"))
}
