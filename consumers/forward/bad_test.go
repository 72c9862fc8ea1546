package forward

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

// raw is a target that answers with any bytes, once the request has come. A target that closes
// before that resets the connection, and its answer may be lost.
func raw(t *testing.T, say func(c net.Conn, gone <-chan struct{})) string {
	t.Helper()
	return listen(t, func(c net.Conn, gone <-chan struct{}) {
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			say(c, gone)
		}
	})
}

// listen serves each connection until the test ends.
func listen(t *testing.T, serve func(c net.Conn, gone <-chan struct{})) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = c.Close() }()
				serve(c, gone)
			})
		}
	})
	t.Cleanup(func() {
		close(gone)
		_ = l.Close()
		running.Wait()
	})
	return "http://" + l.Addr().String()
}

// drip sends a byte, and one more each tick.
func drip(text string, tick time.Duration) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, gone <-chan struct{}) {
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for i := 0; ; i = (i + 1) % len(text) {
			if _, err := c.Write([]byte{text[i]}); err != nil {
				return
			}
			select {
			case <-gone:
				return
			case <-ticker.C:
			}
		}
	}
}

func write(text string) func(net.Conn, <-chan struct{}) {
	return func(c net.Conn, _ <-chan struct{}) { _, _ = io.WriteString(c, text) }
}

// Each ends, is tried again, and counts against the target.
func TestBadTargets(t *testing.T) {
	t.Parallel()
	short := func(c *Config) { c.Timeout = 50 * time.Millisecond }
	closedPort := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		require.NoError(t, l.Close())
		return "http://" + l.Addr().String()
	}
	for _, c := range []struct {
		name, url string
		change    func(*Config)
		want      string
	}{
		{"nobody listens", closedPort(), nil, "connection refused"},
		{"never answers", raw(t, func(_ net.Conn, gone <-chan struct{}) { <-gone }), short, "no answer in time"},
		{
			"never answers, header timeout", raw(t, func(_ net.Conn, gone <-chan struct{}) { <-gone }),
			func(c *Config) { c.HeaderTimeout = 50 * time.Millisecond }, "timeout awaiting response headers",
		},
		{"a byte a second of header", raw(t, drip("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("a", 1000), time.Second)), short, "no answer in time"},
		{"headers without end", raw(t, func(c net.Conn, _ <-chan struct{}) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := io.WriteString(c, "A: "+strings.Repeat("a", 1000)+"\r\n"); err != nil {
					return
				}
			}
		}), nil, "header"},
		{"interim answers without end", raw(t, func(c net.Conn, _ <-chan struct{}) {
			for {
				if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nA: "+strings.Repeat("a", 1000)+"\r\n\r\n"); err != nil {
					return
				}
			}
		}), nil, ""},
		{"garbage", raw(t, write("SSH-2.0-OpenSSH_9.9\r\n"+strings.Repeat("\x00\xff", 1000))), nil, "malformed HTTP"},
		{"garbage without end", raw(t, func(c net.Conn, _ <-chan struct{}) {
			for {
				if _, err := c.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}), nil, ""},
		{"bad status", raw(t, write("HTTP/1.1 20x OK\r\n\r\n")), nil, "malformed HTTP status"},
		{"closes at once", raw(t, func(net.Conn, <-chan struct{}) {}), nil, "EOF"},
		{"TLS where there is none", strings.Replace(serve(t, nil).URL, "http:", "https:", 1), nil, "does not look like a TLS handshake"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := setup(t, c.url, oneFailureOpens)
			if c.change != nil {
				b = setup(t, c.url, func(cfg *Config) { oneFailureOpens(cfg); c.change(cfg) })
			}
			err := b.handle()
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "posting to http")
			require.False(t, consumers.IsPermanent(err))
			require.ErrorIs(t, b.handle(), errPaused)
		})
	}
}

// An answer that is not HTTP is cut in the log and in alarms.
func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	for _, said := range []string{"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: ", "HTTP/1.1 200 OK\r\nContent-Length: "} {
		b := setup(t, raw(t, write(said+strings.Repeat("\x00", maxHeader/2)+"\r\n\r\n")), oneFailureOpens)
		err := b.handle()
		require.Error(t, err)
		require.Less(t, len(err.Error()), 1<<10, "%q", said)
	}
}

// The status decides what becomes of the event, with any body.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	endless := func(c net.Conn, _ <-chan struct{}) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}
	slow := func(c net.Conn, gone <-chan struct{}) {
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
		drip("x", time.Second)(c, gone)
	}
	for name, url := range map[string]string{
		"10 GB":              raw(t, endless),
		"a byte a second":    raw(t, slow),
		"closed mid-body":    raw(t, write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nxxx")),
		"bad chunk":          raw(t, write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")),
		"204 with body":      raw(t, write("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")),
		"not gzip":           raw(t, write("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx")),
		"until it is closed": raw(t, write("HTTP/1.1 200 OK\r\n\r\nhello")),
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t, url, func(c *Config) { oneFailureOpens(c); c.Timeout = time.Hour })
			b.bodyTime = 50 * time.Millisecond
			require.NoError(t, b.handle())
			require.Equal(t, closed, b.breaker.current())
		})
	}
}

// A target sees no second request after any redirect.
func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	for _, to := range []string{other.URL, "http://169.254.169.254/latest/meta-data/", "/again"} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			var asked atomic.Int32
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				http.Redirect(w, r, to, status)
			})
			require.ErrorContains(t, setup(t, srv.URL, nil).handle(), fmt.Sprintf("answered %d", status))
			require.EqualValues(t, 1, asked.Load())
		}
	}
	require.Zero(t, elsewhere.Load())
}

// A target cannot make something else of the connection.
func TestNoOtherProtocol(t *testing.T) {
	t.Parallel()
	url := raw(t, write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"))
	require.ErrorContains(t, setup(t, url, nil).handle(), "answered 101")
}

// Nor can it hold an attempt with one that it opens and says nothing on: no context
// ends the reading of such a connection.
func TestOtherProtocolIsNotListenedTo(t *testing.T) {
	t.Parallel()
	url := raw(t, func(c net.Conn, gone <-chan struct{}) {
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n")
		<-gone
	})
	b := setup(t, url, nil)
	b.bodyTime = 50 * time.Millisecond
	require.ErrorContains(t, b.handle(), "answered 101")
}

// No proxy of the environment is used.
func TestNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	b := setup(t, answering(t, 200).URL, nil)
	require.NoError(t, b.handle())
	require.Nil(t, newTransport(Config{}, false).Proxy)
}

// A body that the target does not read ends with the attempt.
func TestBodyThatNobodyReads(t *testing.T) {
	t.Parallel()
	url := listen(t, func(_ net.Conn, gone <-chan struct{}) { <-gone })
	b := setup(t, url, func(c *Config) { c.Timeout = 50 * time.Millisecond })
	ev := newEvent("p")
	ev.Body = make([]byte, 8<<20)
	require.ErrorIs(t, b.Handle(context.Background(), ev), errTimeout)
}
