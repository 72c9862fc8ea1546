package ingress

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/internal/headers"
)

// Why a connection was ended by its limits: values of a label.
const (
	endedPerAddress = "per_address" // its address has too many
	endedNoRoom     = "no_room"     // there are too many, and all of them at work
	endedGaveWay    = "gave_way"    // it waited longest when another one came
	endedHeader     = "header"      // its header came slowest when there was no room for all of them
)

// connections is a listener that bounds what it has accepted. When all places
// are taken, the connection that has waited longest for its peer gives way,
// whether it is idle, sends its headers or sends a body: honest senders are
// quick, so the last to be found there.
type connections struct {
	*net.TCPListener
	max        int
	perAddress int // 0: no limit
	trusted    proxies
	ended      *prometheus.CounterVec
	headers    *headers.Budget // of those that are not whole

	mu      sync.Mutex
	open    int
	from    map[netip.Prefix]int
	waiting list.List // of *conn, the longest waiting first
}

// conn is one connection. Its other fields belong to connections.mu.
type conn struct {
	*net.TCPConn
	all  *connections
	head *headers.Account
	from netip.Prefix // it is counted there; zero: nowhere

	place   *list.Element // in waiting; nil while working > 0
	working int           // requests whose whole body is here
	gone    bool
}

// Accept returns the next connection within the limits.
func (l *connections) Accept() (net.Conn, error) {
	for {
		tcp, err := l.AcceptTCP()
		switch {
		case errors.Is(err, syscall.EMFILE) && l.makeRoom():
		case err != nil:
			return nil, err
		default:
			if c := l.admit(tcp); c != nil {
				return c, nil
			}
			_ = tcp.Close() // nothing was said on it
		}
	}
}

// admit returns nil when there is no place for the connection.
func (l *connections) admit(tcp *net.TCPConn) *conn {
	c := &conn{TCPConn: tcp, all: l, head: l.headers.Open(tcp.Close)}
	peer := parseAddr(tcp.RemoteAddr().String())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perAddress > 0 && !l.trusted.trust(peer) {
		c.from = holder(peer)
		if l.from[c.from] >= l.perAddress {
			l.ended.WithLabelValues(endedPerAddress).Inc()
			return nil
		}
	}
	if l.open >= l.max && !l.makeRoomLocked() {
		l.ended.WithLabelValues(endedNoRoom).Inc()
		return nil
	}
	l.open++
	if c.from.IsValid() {
		l.from[c.from]++
	}
	c.place = l.waiting.PushBack(c)
	return c
}

func (l *connections) makeRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.makeRoomLocked()
}

// makeRoomLocked reports whether a connection was there to give way.
func (l *connections) makeRoomLocked() bool {
	front := l.waiting.Front()
	if front == nil {
		return false
	}
	victim := front.Value.(*conn)
	l.forget(victim)
	_ = victim.TCPConn.Close() // its reader is told by its own error
	l.ended.WithLabelValues(endedGaveWay).Inc()
	return true
}

// forget gives the place of a connection back, once. l.mu is held.
func (l *connections) forget(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	l.open--
	if c.from.IsValid() {
		if l.from[c.from]--; l.from[c.from] == 0 {
			delete(l.from, c.from)
		}
	}
	if c.place != nil {
		l.waiting.Remove(c.place)
		c.place = nil
	}
}

func (l *connections) count() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.open)
}

// Headers is for [headers.ConnState].
func (c *conn) Headers() *headers.Account { return c.head }

// Read counts what comes while it may be a header.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.head.Came(n)
	return n, err
}

// Close ends the connection and gives its place back.
func (c *conn) Close() error {
	c.head.Closed()
	c.all.mu.Lock()
	c.all.forget(c)
	c.all.mu.Unlock()
	return c.TCPConn.Close()
}

// touch says that the headers of a request have come.
func (c *conn) touch() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.place != nil {
		c.all.waiting.MoveToBack(c.place)
	}
}

// work says that a whole request is here: from now on its sender waits for us.
func (c *conn) work() {
	c.head.Work()
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.working++
	if c.place != nil {
		c.all.waiting.Remove(c.place)
		c.place = nil
	}
}

// rest is the end of one work.
func (c *conn) rest() {
	c.head.Rest()
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.working--; c.working == 0 && !c.gone {
		c.place = c.all.waiting.PushBack(c)
	}
}

type connKey struct{}

// withConn is the ConnContext of the server.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	if encrypted, ok := nc.(*tls.Conn); ok {
		nc = encrypted.NetConn()
	}
	return context.WithValue(ctx, connKey{}, nc)
}

// connOf is the connection that a request came on, with HTTP/2 one of many.
func connOf(ctx context.Context) *conn { return ctx.Value(connKey{}).(*conn) }
