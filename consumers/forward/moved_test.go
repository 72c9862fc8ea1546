package forward

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/freshconn"
)

// A service that was moved in DNS while its old instance answers 503 on connections that
// are kept is reached at its new place by the attempt after the one that failed.
func TestServiceThatMoved(t *testing.T) {
	t.Parallel()
	var asked, failing atomic.Int32
	old := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if failing.Load() > 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	moved := answering(t, http.StatusNoContent)
	b := setup(t, "http://service.example", func(c *Config) { c.AllowPrivate = true })
	var leads atomic.Pointer[string]
	lead := func(address string) { leads.Store(&address) }
	lead(old.Listener.Addr().String())
	transport := newTransport(Config{Concurrency: 1}, false)
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, *leads.Load())
	}
	b.transport = freshconn.New(transport, 0)
	for range 3 {
		require.NoError(t, b.handle())
	}
	lead(moved.Listener.Addr().String())
	failing.Store(1)
	require.ErrorContains(t, b.handle(), "503")
	for range 12 {
		require.NoError(t, b.handle())
	}
	require.EqualValues(t, 4, asked.Load(), "one attempt on a connection that was kept")
}
