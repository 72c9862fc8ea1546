package live_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/live"
)

// Clients that never read cost a bounded memory, hold up nobody, and are dropped.
func TestClientsThatNeverRead(t *testing.T) {
	t.Parallel()
	const slow, large = 50, 1200
	b := start(t, live.Limits{Burst: 1000})
	model := strings.Repeat("m", 3800) // rows of 4 KiB
	var conns []net.Conn
	for range slow {
		conns = append(conns, b.neverRead())
	}
	b.eventually(func() bool { return b.streams.Listening() == slow })
	good := b.fresh(query("status=failed"))
	for i := 1; i <= large; i++ {
		b.store(event(id(i), "completed", model)) // nothing holds the store up
		require.LessOrEqual(t, b.streams.Held(), 4<<20)
	}
	b.store(event("last", "failed", "m"))
	require.Equal(t, "last", good.row().Prediction)
	b.eventually(func() bool { return b.streams.Listening() == 1 })
	require.EqualValues(t, slow, b.streams.Dropped())
	for _, conn := range conns {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		_, err := io.Copy(io.Discard, conn) // what was on its way, then the end
		require.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), err)
	}
	b.storeMany(1, 1)
	b.store(event("good", "failed", "m"))
	require.Equal(t, "good", good.row().Prediction)
}

// neverRead opens a live stream with a small window, and reads nothing.
func (b *bench) neverRead() net.Conn {
	b.t.Helper()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }) //nolint:gosec // a descriptor
		return err
	}}
	host := strings.TrimSuffix(strings.TrimPrefix(b.url, "http://"), "/api/v1")
	conn, err := dialer.DialContext(b.t.Context(), "tcp", host)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "%s /api/v1/events/live HTTP/1.1\r\nHost: %s\r\n\r\n", http.MethodGet, host)
	require.NoError(b.t, err)
	return conn
}

// A client that reads too slowly is dropped when the ring has overtaken it, by the end of the
// stream, and misses nothing when it comes again.
func TestClientThatIsOvertaken(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{RingMessages: 5, Batch: 1000, Burst: 1000, Behind: 1 << 20, Gather: 300 * time.Millisecond})
	c := b.fresh(query())
	stored, told := 0, 0
	for b.streams.Dropped() == 0 { // one read of the stream takes more than the ring has
		stored++
		b.storeMany(stored, stored)
	}
	for e := range c.events {
		if e.Name != "" {
			told++
			require.Equal(t, fmt.Sprint(told), e.ID)
		}
	}
	b.persist(told+1, stored, stored)
}
