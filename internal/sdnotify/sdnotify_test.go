package sdnotify

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTake(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct {
		socket, usec, pid string
		none              bool
		want              time.Duration
		err               string
	}{
		"nobody":                 {none: true},
		"a watchdog alone":       {usec: "1000", pid: self, none: true},
		"no watchdog":            {socket: "/run/notify"},
		"a watchdog":             {socket: "@abstract", usec: "30000000", pid: self, want: 30 * time.Second},
		"a watchdog for anybody": {socket: "/run/notify", usec: "1000", want: time.Millisecond},
		"another's watchdog":     {socket: "/run/notify", usec: "1000", pid: self + "0"},
		"a network":              {socket: "vsock:2:1", err: "path of a socket"},
		"garbage":                {socket: "/run/notify", usec: "soon", err: "microseconds"},
		"no time":                {socket: "/run/notify", usec: "0", err: "microseconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", c.socket)
			t.Setenv("WATCHDOG_USEC", c.usec)
			t.Setenv("WATCHDOG_PID", c.pid)
			m, err := Take(os.LookupEnv) //nolint:forbidigo // as main does
			for _, variable := range variables {
				_, left := os.LookupEnv(variable) //nolint:forbidigo // a child would see it
				require.False(t, left, "%s would be inherited", variable)
			}
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.none, m == nil)
			if m != nil {
				require.Equal(t, c.want, m.Watchdog)
			}
		})
	}
}

func TestTell(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	m := &Manager{address: path}
	require.NoError(t, m.Tell("READY=1", "STATUS=one\nline"))
	text := make([]byte, 100)
	n, err := conn.Read(text)
	require.NoError(t, err)
	require.Equal(t, "READY=1\nSTATUS=one line", string(text[:n]))
	require.Regexp(t, `^MONOTONIC_USEC=[1-9]\d*$`, Now())
	require.NoError(t, conn.Close())
	require.ErrorContains(t, m.Tell("READY=1"), "telling the service manager")
}
