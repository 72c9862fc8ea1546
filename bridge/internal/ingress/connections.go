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

	"github.com/hookspan/hookspan/internal/clientaddr"
	"github.com/hookspan/hookspan/internal/headers"
)

// Why a limit closed a connection: values of a metric's label.
const (
	endedPerAddress = "per_address" // too many connections of its address
	endedNoRoom     = "no_room"     // too many connections, all of them at work
	endedGaveWay    = "gave_way"    // it had waited longest when another one came
	endedHeader     = "header"      // its header was the slowest when headers had no room
)

// connections is a listener with limits. When all places are taken, the connection that has
// waited longest for its peer is closed, whether it is idle, sends its headers or sends a
// body: honest senders are quick, so they are the last to wait longest.
type connections struct {
	*net.TCPListener
	max        int
	perAddress int // 0: no limit
	trusted    proxies
	ended      *prometheus.CounterVec
	headers    *headers.Budget // of unfinished headers

	mu      sync.Mutex
	open    int
	from    map[netip.Prefix]int
	waiting list.List     // of *conn, the longest waiting first
	empty   chan struct{} // nil before allGone; closed: none is open
}

// conn is one connection. connections.mu guards its other fields.
type conn struct {
	*net.TCPConn
	all  *connections
	head *headers.Account
	from netip.Prefix // the network that counts it; zero: none

	place   *list.Element // in waiting; nil while working > 0
	working int           // requests whose whole body has come
	gone    bool
}

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
			_ = tcp.Close() // before anything was read or written
		}
	}
}

// admit returns nil when there is no place for the connection.
func (l *connections) admit(tcp *net.TCPConn) *conn {
	c := &conn{TCPConn: tcp, all: l, head: l.headers.Open(tcp.Close)}
	peer := clientaddr.Parse(tcp.RemoteAddr().String())
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.perAddress > 0 && !l.trusted.trust(peer) {
		c.from = clientaddr.Network(peer)
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

// makeRoomLocked closes a waiting connection; it reports whether there was one.
func (l *connections) makeRoomLocked() bool {
	front := l.waiting.Front()
	if front == nil {
		return false
	}
	victim := front.Value.(*conn)
	l.forget(victim)
	_ = victim.TCPConn.Close() // its reader gets an error
	l.ended.WithLabelValues(endedGaveWay).Inc()
	return true
}

// forget releases the connection's place, once. l.mu is held.
func (l *connections) forget(c *conn) {
	if c.gone {
		return
	}
	c.gone = true
	if l.open--; l.open == 0 && l.empty != nil {
		close(l.empty)
	}
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

// allGone is called once, after the last Accept. The channel is closed when no connection is
// open.
func (l *connections) allGone() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.empty = make(chan struct{})
	if l.open == 0 {
		close(l.empty)
	}
	return l.empty
}

func (l *connections) count() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.open)
}

// Headers is for [headers.ConnState].
func (c *conn) Headers() *headers.Account { return c.head }

// Read counts bytes that may belong to a header.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	c.head.Came(n)
	return n, err
}

// Close closes the connection and releases its place.
func (c *conn) Close() error {
	c.head.Closed()
	c.all.mu.Lock()
	c.all.forget(c)
	c.all.mu.Unlock()
	return c.TCPConn.Close()
}

// touch marks the arrival of a request's headers.
func (c *conn) touch() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.place != nil {
		c.all.waiting.MoveToBack(c.place)
	}
}

// work marks the arrival of a whole request: from now on its sender waits for us.
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

// rest ends one work.
func (c *conn) rest() {
	c.head.Rest()
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.working--; c.working == 0 && !c.gone {
		c.place = c.all.waiting.PushBack(c)
	}
}

type connKey struct{}

// withConn is the server's ConnContext.
func withConn(ctx context.Context, nc net.Conn) context.Context {
	if encrypted, ok := nc.(*tls.Conn); ok {
		nc = encrypted.NetConn()
	}
	return context.WithValue(ctx, connKey{}, nc)
}

// connOf returns the connection of a request; requests of HTTP/2 share one.
func connOf(ctx context.Context) *conn { return ctx.Value(connKey{}).(*conn) }
