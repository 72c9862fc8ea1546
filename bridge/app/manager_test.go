package app

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A listener that takes connections and says nothing is what a process that hangs looks like. One
// that ends a connection works.
func TestWatchdogAsksTheListeners(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{"HTTP/1.1 404 Not Found\r\n\r\n": "", "end": "", "silence": "no answer", "gone": "refused"} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		within := time.Minute
		switch answer {
		case "silence":
			within = 10 * time.Millisecond // connections wait, and nobody takes them
		case "gone":
			require.NoError(t, l.Close())
		default:
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return // the test has failed
				}
				if _, err := conn.Read(make([]byte, 1)); err == nil && answer != "end" {
					_, _ = conn.Write([]byte(answer))
				}
				_ = conn.Close()
			}()
		}
		ctx, cancel := context.WithTimeout(t.Context(), within)
		err = answers(ctx, "http://"+l.Addr().String(), "/")
		cancel()
		if want == "" {
			require.NoError(t, err, answer)
		} else {
			require.ErrorContains(t, err, want)
		}
		_ = l.Close()
	}
}
