package ingress

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/headers"
)

const (
	patience = 20 * time.Second
	glance   = 2 * time.Millisecond
)

// opened waits until the server has taken n connections.
func (b *bench) opened(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return b.listener.count() == float64(n) }, patience, glance)
}

// arriving waits until n bodies are arriving.
func (b *bench) arriving(t testing.TB, n int) {
	t.Helper()
	require.Eventually(t, func() bool { got, _, _ := b.intake.counts(); return got == n }, patience, glance)
}

// begun waits until n bodies of the source get3w are arriving or had to give way, so that the
// next one is the youngest.
func (b *bench) begun(t testing.TB, n int) {
	t.Helper()
	gaveWay := b.metrics.deliveries.WithLabelValues("get3w", "busy")
	require.Eventually(t, func() bool {
		arriving, _, _ := b.intake.counts()
		return arriving+int(testutil.ToFloat64(gaveWay)) == n
	}, patience, glance)
}

// settled waits until every share of the limits is released.
func (b *bench) settled(t testing.TB) {
	t.Helper()
	require.Eventually(t, func() bool {
		arriving, working, bytes := b.intake.counts()
		return arriving == 0 && working == 0 && bytes == 0
	}, patience, glance)
}

// ended waits until the server has closed the connection, and returns what the server sent
// before.
func ended(t testing.TB, conn net.Conn) string {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	said, err := io.ReadAll(conn)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	return string(said)
}

func dialFrom(t testing.TB, b *bench, address string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := dialer.Dial("tcp", b.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func send(t testing.TB, conn net.Conn, text string) {
	t.Helper()
	_, err := conn.Write([]byte(text))
	require.NoError(t, err)
}

func TestConnectionsOfOneAddress(t *testing.T) {
	b := start(t, Config{MaxConnectionsPerAddress: 2})
	first := dialFrom(t, b, "127.0.0.1")
	dialFrom(t, b, "127.0.0.1")
	b.opened(t, 2)
	require.Empty(t, ended(t, dialFrom(t, b, "127.0.0.1")))
	require.InDelta(t, 1, testutil.ToFloat64(b.metrics.ended.WithLabelValues(endedPerAddress)), 0)
	require.Equal(t, 200, deliver(t, from(t, "127.0.0.2"), b, "other").status)
	b.opened(t, 3)
	require.NoError(t, first.Close())
	b.opened(t, 2)
	require.Equal(t, 200, deliver(t, from(t, "127.0.0.1"), b, "again").status)
}

func TestConnectionsOfATrustedProxyAreNotCounted(t *testing.T) {
	b := start(t, Config{MaxConnectionsPerAddress: 1, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	for range 5 {
		dialFrom(t, b, "127.0.0.1")
	}
	b.opened(t, 5)
	require.Empty(t, b.listener.from)
}

// The connection that waits longest gives way, whether it is silent, idle or slow with its
// body.
func TestTheLongestWaitingConnectionGivesWay(t *testing.T) {
	b := start(t, Config{MaxConnections: 3, Deadline: maxDeadline})
	slow := dial(t, b)
	b.opened(t, 1)
	silent := dial(t, b)
	b.opened(t, 2)
	idle := dial(t, b)
	send(t, idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Equal(t, 200, answerOn(t, idle).status)
	b.opened(t, 3)
	send(t, slow, raw(t, "", 100)) // now it is the last of the three
	b.arriving(t, 1)

	for i, victim := range []net.Conn{silent, idle, slow} {
		good := dial(t, b)
		text := body("good")
		send(t, good, raw(t, text, len(text)))
		require.Equal(t, 200, answerOn(t, good).status)
		require.NotContains(t, ended(t, victim), "200 OK")
		require.InDelta(t, i+1, testutil.ToFloat64(b.metrics.ended.WithLabelValues(endedGaveWay)), 0)
	}
	b.settled(t)
}

// A connection whose delivery is being stored never gives way.
func TestNoRoomWhenAllAreAtWork(t *testing.T) {
	b, finish := occupied(t, Config{MaxConnections: 1})
	require.Empty(t, ended(t, dial(t, b)))
	require.InDelta(t, 1, testutil.ToFloat64(b.metrics.ended.WithLabelValues(endedNoRoom)), 0)
	finish()
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("second"))).status)
}

// Thousands of idle connections do not keep a sender out, with and without a limit near.
func TestIdleConnections(t *testing.T) {
	const idle = 2000
	for name, limit := range map[string]int{"below the limit": standard.MaxConnections, "far over the limit": 200} {
		t.Run(name, func(t *testing.T) {
			b := start(t, Config{MaxConnections: limit, headerTimeout: time.Minute})
			for i := range idle {
				conn := dial(t, b)
				switch i % 4 {
				case 1:
					send(t, conn, "POST /webhooks/get3w HTTP/1.1\r\nHost:")
				case 2:
					send(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				case 3:
					send(t, conn, raw(t, "", 100))
				}
			}
			b.opened(t, min(idle, limit))
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for range 10 {
				require.Equal(t, 200, deliver(t, transport, b, "good").status)
				transport.CloseIdleConnections()
			}
		})
	}
}

func TestSlowHeadersAndIdleConnectionsEnd(t *testing.T) {
	b := start(t, Config{headerTimeout: 50 * time.Millisecond, IdleTimeout: 50 * time.Millisecond})
	for _, begun := range []string{"", "POST", "POST /webhooks/get3w HTTP/1.1\r\nHost: x\r\nX-"} {
		conn := dial(t, b)
		send(t, conn, begun)
		require.NotContains(t, ended(t, conn), "200 OK")
	}
	idle := dial(t, b)
	send(t, idle, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	in := bufio.NewReader(idle)
	res, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	require.Equal(t, 200, read(t, res).status)
	_, err = in.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	b.opened(t, 0)
}

// Slow bodies take neither the places nor the bytes of whole ones.
func TestSlowBodiesGiveWay(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		sent int
	}{
		"places":         {Config{MaxInFlight: 4}, 1},
		"bytes":          {Config{MaxBody: 1 << 20, MaxInFlightBytes: 1<<20 + headers.MaxBytes}, 100_000},
		"a byte of each": {Config{MaxBody: 16 << 10, MaxInFlightBytes: 16<<10 + headers.MaxBytes}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Deadline = maxDeadline
			b := start(t, c.cfg)
			var slow []net.Conn
			for i := range 24 {
				conn := dial(t, b)
				send(t, conn, raw(t, strings.Repeat(" ", c.sent), c.sent+1))
				slow = append(slow, conn)
				if i == 0 {
					b.begun(t, 1) // the first to give way, whatever the order in which the server takes the others
				}
			}
			b.begun(t, len(slow))
			require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("good"))).status)
			res := answerOn(t, slow[0])
			require.Equal(t, 503, res.status)
			require.Equal(t, "10", res.header.Get("Retry-After"))
			for _, conn := range slow {
				require.NoError(t, conn.Close())
			}
			b.settled(t)
			require.Len(t, b.pub.published(), 1)
		})
	}
}

func TestResetWhileWorkedOnGivesItsPlaceBack(t *testing.T) {
	b := start(t, Config{MaxInFlight: 1, MaxConnections: 2})
	entered, finish := make(chan struct{}, 1), make(chan struct{})
	b.pub.answer = func(context.Context, *bridge.Event) (bridge.Receipt, error) {
		entered <- struct{}{}
		<-finish
		return bridge.Receipt{Result: bridge.Stored}, nil
	}
	conn := dial(t, b)
	text := body("first")
	send(t, conn, raw(t, text, len(text)))
	<-entered
	require.NoError(t, conn.SetLinger(0))
	require.NoError(t, conn.Close())
	close(finish)
	b.settled(t)
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("second"))).status)
	require.Len(t, b.pub.published(), 2)
}
