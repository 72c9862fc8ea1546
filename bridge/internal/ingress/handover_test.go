package ingress

import (
	"bufio"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// passSocket returns a listener of the socket that held has too.
func passSocket(t testing.TB, held net.Listener) *net.TCPListener {
	t.Helper()
	file, err := held.(*net.TCPListener).File()
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	l, err := net.FileListener(file)
	require.NoError(t, err)
	return l.(*net.TCPListener)
}

func holdSocket(t testing.TB) net.Listener {
	t.Helper()
	held, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = held.Close() })
	return held
}

// leftSocket waits until the server takes no more connections.
func (b *bench) leftSocket(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		file, err := b.listener.File()
		if err != nil {
			return true
		}
		_ = file.Close()
		return false
	}, patience, glance)
}

// A server whose socket somebody else holds answers everybody: those that are in flight, those
// that come on open or on new connections while it leaves, and, by the next server on the socket,
// those that come later.
func TestSocketIsLeftToTheNextServer(t *testing.T) {
	t.Parallel()
	held := holdSocket(t)
	timer := make(chan time.Time)
	b, finish := occupied(t, Config{Socket: passSocket(t, held), timer: timer, ShutdownDelay: time.Hour, Deadline: maxDeadline})
	defer finish()
	defer close(timer)
	require.Equal(t, held.Addr(), b.Addr())
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	deliver := func(id string) string { return raw(t, body(id), len(body(id))) }
	var kept []*bufio.ReadWriter
	for range 2 {
		conn := dial(t, b)
		kept = append(kept, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)))
		res := ask(t, kept[len(kept)-1], get)
		require.Equal(t, 200, res.status)
		require.False(t, res.close)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	require.Eventually(t, b.draining.Load, patience, glance)
	for i, message := range []string{get, deliver("open")} {
		res := ask(t, kept[i], message)
		require.Equal(t, 200, res.status, "load balancers need not leave")
		require.True(t, res.close, "the next request is for the next server")
	}
	conn := dial(t, b)
	send(t, conn, deliver("new"))
	require.Equal(t, 200, answerOn(t, conn).status)

	silent := dial(t, b)
	b.opened(t, 2) // this one and the one in flight
	timer <- time.Now()
	b.leftSocket(t)
	send(t, silent, deliver("silent"))
	require.Equal(t, 200, answerOn(t, silent).status)
	var waiting []net.Conn
	for i := range 20 {
		conn := dial(t, b)
		send(t, conn, deliver("waiting"+strconv.Itoa(i)))
		waiting = append(waiting, conn)
	}
	finish()
	require.NoError(t, <-stopped)
	require.Len(t, b.pub.published(), 4)

	next := start(t, Config{Socket: passSocket(t, held)})
	for _, conn := range waiting {
		require.Equal(t, 200, answerOn(t, conn).status)
	}
	require.Len(t, next.pub.published(), len(waiting))
}

// Connections that send nothing neither delay the hand-over nor make it an error.
func TestSilentConnectionsDoNotHoldUpTheHandOver(t *testing.T) {
	t.Parallel()
	b := start(t, Config{Socket: passSocket(t, holdSocket(t)), headerTimeout: time.Hour})
	dial(t, b)
	send(t, dial(t, b), "POST /webhooks/get3w HTTP/1.1\r\n")
	b.opened(t, 2)
	require.NoError(t, b.stop())
}

// HTTP/2 connections are told to leave too: every stream is answered, and then the connection
// ends.
func TestHTTP2ConnectionsLeaveTheSocket(t *testing.T) {
	t.Parallel()
	timer := make(chan time.Time)
	b, client := encrypted(t, Config{Socket: passSocket(t, holdSocket(t)), timer: timer})
	c := dialH2(t, b)
	require.Equal(t, 200, deliver(t, client, b, "first").status)
	endTimer := sync.OnceFunc(func() { close(timer) })
	defer endTimer()
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	require.Eventually(t, b.draining.Load, patience, glance)
	stream, err := c.request(t, map[string][]string{"Content-Length": {"0"}})
	require.NoError(t, err)
	require.NoError(t, c.framer.WriteData(stream, true, nil))
	<-c.ended
	require.Equal(t, "401", c.status(stream), "it has no signature")
	endTimer()
	require.NoError(t, <-stopped)
}
