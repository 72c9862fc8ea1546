package ingress

import (
	"bufio"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func (b *bench) root(t testing.TB) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, b.url+"/", nil)
	require.NoError(t, err)
	return do(t, r).status
}

// Load balancers leave while deliveries are still accepted.
func TestDeliveriesAreAcceptedDuringTheShutdownDelay(t *testing.T) {
	b := start(t, Config{ShutdownDelay: 3 * time.Second})
	require.Equal(t, 200, b.root(t))
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	require.Eventually(t, func() bool { return b.root(t) == 503 }, patience, glance)
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("late"))).status)
	require.NoError(t, <-stopped)
}

// After the delay, deliveries on open connections are refused, and those in flight are
// finished.
func TestDeliveriesAreRefusedWhileTheLastAreFinished(t *testing.T) {
	t.Parallel()
	b, finish := occupied(t, Config{})
	kept := map[string]*bufio.ReadWriter{}
	for _, path := range []string{"/", "/webhooks/get3w"} {
		conn := dial(t, b)
		kept[path] = bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
		require.Equal(t, 200, ask(t, kept[path], "GET / HTTP/1.1\r\nHost: x\r\n\r\n").status)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.stop() }()
	<-b.refused(t)
	require.Eventually(t, b.shut, patience, glance)
	text := body("second")
	for path, conn := range kept {
		message := raw(t, text, len(text))
		if path == "/" {
			message = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		}
		res := ask(t, conn, message)
		require.Equal(t, 503, res.status, path)
		require.Equal(t, "10", res.header.Get("Retry-After"))
		require.True(t, res.close)
	}
	finish()
	require.NoError(t, <-stopped)
	require.Len(t, b.pub.published(), 1)
}

func ask(t testing.TB, conn *bufio.ReadWriter, message string) response {
	t.Helper()
	_, err := conn.WriteString(message)
	require.NoError(t, err)
	require.NoError(t, conn.Flush())
	res, err := http.ReadResponse(conn.Reader, nil)
	require.NoError(t, err)
	return read(t, res)
}

// Connections without a request neither delay the end nor make it an error.
func TestSilentConnectionsDoNotHoldUpTheEnd(t *testing.T) {
	b := start(t, Config{headerTimeout: time.Hour})
	dial(t, b)
	send(t, dial(t, b), "POST /webhooks/get3w HTTP/1.1\r\n")
	b.opened(t, 2)
	require.NoError(t, b.stop())
}
