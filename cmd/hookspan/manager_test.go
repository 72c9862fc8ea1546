package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/sdnotify"
)

// serviceManager is what systemd is for a process: a socket that hears how it does.
type serviceManager struct {
	t    *testing.T
	conn *net.UnixConn
}

func newServiceManager(t *testing.T) (m *serviceManager, address string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "manager") //nolint:usetesting // the path of a socket is short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	address = filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &serviceManager{t, conn}, address
}

// hears returns the first message with the assignment, and those before it.
func (m *serviceManager) hears(assignment string) (all []string) {
	m.t.Helper()
	require.NoError(m.t, m.conn.SetReadDeadline(time.Now().Add(patience)))
	for {
		text := make([]byte, 4096)
		n, err := m.conn.Read(text)
		require.NoError(m.t, err, "%s was not told; before it: %q", assignment, all)
		all = append(all, string(text[:n]))
		for line := range strings.SplitSeq(string(text[:n]), "\n") {
			if line == assignment {
				return all
			}
		}
	}
}

// The service manager is told that the bridge is ready when both listeners answer, that it is
// alive, when it reads its configuration again, and that it stops. Its commands do not know of it.
func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	m, address := newServiceManager(t)
	put(t, dir, "hookspan.yaml", strings.ReplaceAll(smallConfig, "consumers: {archive: {enabled: false}}", "")+`
consumers:
  archive: {enabled: false}
  look: {kind: exec, start: all, env: [NOTIFY_SOCKET, WATCHDOG_USEC], command: [/bin/sh, -c, 'env >"$0/x"; mv "$0/x" "$0/seen"', "`+out+`"]}
`)
	cmd := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+address, "WATCHDOG_USEC=3000000")
	p := start(t, dir, cmd)
	before := m.hears("READY=1")
	require.Len(t, before, 1)
	require.Contains(t, before[0], "STATUS=")
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	status, _ = p.admin("/livez")
	require.Equal(t, 200, status)
	m.hears("WATCHDOG=1")
	m.hears("WATCHDOG=1")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	reload := m.hears("RELOADING=1")
	require.Contains(t, reload[len(reload)-1], "\nMONOTONIC_USEC=")
	m.hears("READY=1")
	require.Eventually(t, func() bool {
		seen, err := os.ReadFile(filepath.Join(out, "seen"))
		return err == nil && !strings.Contains(string(seen), "NOTIFY_SOCKET") && !strings.Contains(string(seen), "WATCHDOG")
	}, patience, 10*time.Millisecond)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	m.hears("STOPPING=1")
	require.Equal(t, 0, p.wait(), p.logs)
	require.NotContains(t, p.logs.String(), `"/livez"`)
}

// A manager that is not there does not keep the bridge from serving; a wrong one is named.
func TestServiceManagerThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", smallConfig)
	cmd := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "nobody"))
	p := start(t, dir, cmd)
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	require.Contains(t, p.logs.String(), "the service manager does not know how this process does")
	require.Equal(t, 0, p.stop(), p.logs)

	e := &env{}
	e.manager = func() (*sdnotify.Manager, error) {
		return sdnotify.Take(func(name string) (string, bool) { return map[string]string{"NOTIFY_SOCKET": "nowhere"}[name], true })
	}
	_, err := e.manager()
	require.ErrorContains(t, err, "NOTIFY_SOCKET")
}
