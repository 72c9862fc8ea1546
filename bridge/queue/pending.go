package queue

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// maxPending is how many bytes the server keeps for other programs that do not read
	// what they asked for, all their connections together. The server's own limit, 64 MiB,
	// is for each connection.
	maxPending = 128 << 20
	// pendingEvery is how often that is looked at. Nobody is looked at while all that
	// connections may keep is less.
	pendingEvery = 50 * time.Millisecond
)

// Limits of the accounts of other programs, for each account.
const (
	appConnections     = 256
	pullConnections    = 64
	guestSubscriptions = 4096 // of one connection

	maxNameInAlarm = 128
)

// guard disconnects programs of others that do not read, the one that reads least first.
type guard struct {
	server func() *server.Server
	alarms bridge.Alarmer
	stop   chan struct{}
	done   chan struct{}
}

func startGuard(s func() *server.Server, alarms bridge.Alarmer) *guard {
	g := &guard{server: s, alarms: alarms, stop: make(chan struct{}), done: make(chan struct{})}
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

// look disconnects as many as it takes.
func (g *guard) look() {
	s := g.server()
	if s.NumClients() <= maxPending/server.MAX_PENDING_SIZE {
		return
	}
	connections, err := s.Connz(&server.ConnzOptions{Sort: server.ByPending, Username: true, Limit: appConnections})
	if err != nil {
		return // it does not run
	}
	sum := 0
	for _, c := range connections.Conns {
		if c.Account != ownAccount {
			sum += c.Pending
		}
	}
	for _, c := range connections.Conns {
		if sum <= maxPending {
			return
		}
		if c.Account == ownAccount {
			continue
		}
		if s.DisconnectClientByID(c.Cid) == nil {
			sum -= c.Pending
			g.tell(c)
		}
	}
}

func (g *guard) tell(c *server.ConnInfo) {
	if g.alarms == nil {
		return
	}
	g.alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmQuota, Subject: c.AuthorizedUser,
		Text: "a program of NATS user " + c.AuthorizedUser + " does not read what it asked for and was disconnected, so that webhooks keep the memory of this process: " +
			"have it ask for less at a time, and read",
		Details: map[string]any{"connection": bridge.Truncate(c.Name, maxNameInAlarm), "pending_bytes": c.Pending},
	})
}
