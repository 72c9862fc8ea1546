package ingress

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/hookspan/hookspan/internal/headers"
)

const unfinished = "POST /webhooks/get3w HTTP/1.1\r\nHost: x\r\nX-Filler: "

// crowd opens connections that each send a large, unfinished header.
func crowd(t *testing.T, b *bench, n, size int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conns[i] = dial(t, b)
		_, _ = conns[i].Write([]byte(unfinished + strings.Repeat("a", size))) // the server may have closed it
	}
	return conns
}

// Unfinished headers stay within their budget, however many connections send them, and no
// webhook beside them is refused.
func TestUnfinishedHeadersHaveABudget(t *testing.T) {
	const size = 48 << 10
	cfg := Config{MaxBody: 1 << 20, MaxInFlightBytes: 4 << 20, headerTimeout: time.Hour}
	budget := cfg.MaxInFlightBytes / headerShare
	for name, large := range map[string]int{"small headers": 0, "a header of 12 KiB": 12 << 10} {
		t.Run(name, func(t *testing.T) {
			b := start(t, cfg)
			conns := crowd(t, b, 100, size)
			evicted := func() float64 { return testutil.ToFloat64(b.metrics.ended.WithLabelValues(endedHeader)) }
			fits := int(budget / size)
			require.Eventually(t, func() bool { return evicted() >= float64(len(conns)-fits-3) }, patience, glance)
			require.LessOrEqual(t, b.listener.headers.Used(), budget)
			require.Greater(t, b.listener.headers.Used(), budget/2)
			for range 20 {
				r := request(t, b.url+"/webhooks/get3w", body("good"))
				r.Header.Set("X-Large", strings.Repeat("b", large))
				r.Close = true
				require.Equal(t, 200, do(t, r).status)
				require.LessOrEqual(t, b.listener.headers.Used(), budget)
			}
			require.Len(t, b.logs.FilterMessageSnippet("unfinished headers take more memory").All(), 1, "one line, however many there are")
			require.Empty(t, ended(t, conns[0]), "the one that has taken longest")
			for _, conn := range conns {
				require.NoError(t, conn.Close())
			}
			require.Eventually(t, func() bool { return b.listener.headers.Used() == 0 }, patience, glance)
		})
	}
}

// A large header counts as bytes in flight while its body is arriving.
func TestLargeHeadersOfArrivingBodiesAreCounted(t *testing.T) {
	b := start(t, Config{Deadline: maxDeadline})
	conn := dial(t, b)
	send(t, conn, unfinished+strings.Repeat("a", 40<<10)+"\r\nContent-Length: 100\r\n\r\n{")
	require.Eventually(t, func() bool {
		_, _, bytes := b.intake.counts()
		return bytes >= 40<<10-headers.Free
	}, patience, glance)
	require.Zero(t, b.listener.headers.Used())
	require.NoError(t, conn.Close())
	b.settled(t)
}

// The same over HTTP/2, where one header may come in many frames.
func TestUnfinishedHeadersOfHTTP2HaveABudget(t *testing.T) {
	const connections, size = 40, 48 << 10
	cfg := Config{MaxBody: 1 << 20, MaxInFlightBytes: 4 << 20, headerTimeout: time.Hour}
	b, client := encrypted(t, cfg)
	for range connections {
		c := dialH2(t, b)
		err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: c.stream, BlockFragment: []byte{0x82}})
		for sent := 0; err == nil && sent < size; sent += c.block.Len() {
			c.block.Reset()
			require.NoError(t, c.encoder.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("y", 8000), Sensitive: true}))
			err = c.framer.WriteContinuation(c.stream, false, c.block.Bytes())
		}
	}
	evicted := func() float64 { return testutil.ToFloat64(b.metrics.ended.WithLabelValues(endedHeader)) }
	require.Eventually(t, func() bool { return evicted() >= connections/4 }, patience, glance)
	require.LessOrEqual(t, b.listener.headers.Used(), cfg.MaxInFlightBytes/headerShare)
	require.Equal(t, 200, deliver(t, client, b, "good").status)
}

// Bodies up to the largest are stored beside the largest header: in one write or two, and
// over TLS, where the handshake and a whole record are read before the header is known.
func TestTheLargestRequestHasRoom(t *testing.T) {
	t.Parallel()
	const largest = 64 << 10
	cfg := Config{MaxBody: largest, MaxInFlightBytes: largest + headers.MaxBytes}
	for _, isTLS := range []bool{false, true} {
		b := start(t, cfg)
		connect := func() net.Conn { return dial(t, b) }
		if isTLS {
			b, _ = encrypted(t, cfg)
			connect = func() net.Conn {
				conn, err := tls.Dial("tcp", b.Addr().String(), &tls.Config{InsecureSkipVerify: true})
				require.NoError(t, err)
				t.Cleanup(func() { _ = conn.Close() })
				return conn
			}
		}
		for _, large := range []int{0, 12 << 10, headers.MaxBytes - 512} {
			for _, length := range []int{1000, 30_000, 55_000, 60_000, largest} {
				for _, together := range []bool{true, false} {
					text := padded(body("pred"), length)
					header, _, _ := strings.Cut(raw(t, text, length), "\r\n\r\n")
					header += "\r\nX-Large: " + strings.Repeat("a", large) + "\r\n\r\n"
					conn := connect()
					if together {
						send(t, conn, header+text)
					} else {
						send(t, conn, header)
						send(t, conn, text)
					}
					require.Equal(t, 200, answerOn(t, conn).status, fmt.Sprint("TLS: ", isTLS, " header: ", large, " body: ", length, " together: ", together))
					require.NoError(t, conn.Close())
				}
			}
		}
		require.Zero(t, b.listener.headers.Used())
		b.settled(t)
	}
}
