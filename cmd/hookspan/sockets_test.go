package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// socket is a listening socket that the test holds and passes to bridges, as systemd does.
type socket struct {
	name string
	net.Listener
	file *os.File
}

func hold(t *testing.T, name string) *socket {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	file, err := l.(*net.TCPListener).File()
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close(); _ = l.Close() })
	return &socket{name, l, file}
}

// pass has the command inherit the sockets. Only the process itself knows its id, so a shell
// says it and then becomes the command.
func pass(cmd *exec.Cmd, sockets ...*socket) *exec.Cmd {
	var names []string
	for _, s := range sockets {
		names = append(names, s.name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.file)
	}
	cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	cmd.Args = append([]string{"sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

// serveOn starts the program of the folder on sockets of the test.
func serveOn(t *testing.T, dir string, sockets ...*socket) *program {
	t.Helper()
	return start(t, dir, pass(command(t, dir, "--json", "serve", "--config", "hookspan.yaml"), sockets...))
}

// The bridge says where it really listens, and its commands get neither the sockets nor the
// variables that speak of them.
func TestSocketsOfTheParent(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	put(t, dir, "hookspan.yaml", strings.ReplaceAll(smallConfig, "consumers: {archive: {enabled: false}}", "")+`
consumers:
  archive: {enabled: false}
  look: {kind: exec, start: all, env: [LISTEN_FDS, LISTEN_PID], command: [/bin/sh, -c, '{ env; readlink /proc/$$/fd/*; } >"$0/x"; mv "$0/x" "$0/seen"', "`+out+`"]}
`)
	webhooks, admin := hold(t, "webhooks"), hold(t, "admin")
	p := serveOn(t, dir, admin, webhooks)
	require.Equal(t, "http://"+webhooks.Addr().String()+"/webhooks/get3w", p.url())
	require.Equal(t, "http://"+admin.Addr().String(), p.ready.Admin)
	for key, s := range map[string]*socket{"ingress.listen": webhooks, "admin.listen": admin} {
		said := `"listening on the socket that was passed, not on the address of ` + key + `","socket":"` + s.Addr().String() + `"`
		require.Equal(t, 1, strings.Count(p.logs.String(), said), "%s: %s", said, p.logs)
	}
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	p.becomes(200, "ready")
	var seen string
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(out, "seen"))
		seen = string(text)
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
	require.Contains(t, seen, "HOOKSPAN_PREDICTION_ID=")
	require.NotContains(t, seen, "LISTEN_")
	for _, s := range []*socket{webhooks, admin} {
		inode, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", s.file.Fd()))
		require.NoError(t, err)
		require.NotContains(t, seen, inode)
	}
	require.Equal(t, 0, p.stop(), p.logs)
}

// Sockets that cannot be used, or are for nobody, are named.
func TestSocketsThatDoNotFit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", smallConfig)
	one, two := hold(t, "webhooks"), hold(t, "other")
	cmd := pass(command(t, dir, "serve", "--config", "hookspan.yaml"), one, two)
	text, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode())
	require.Contains(t, string(text), `the sockets are named ["webhooks" "other"]`)

	put(t, dir, "hookspan.yaml", strings.Replace(smallConfig, `admin: {listen: "127.0.0.1:0"}`, `admin: {listen: ""}`, 1))
	p := serveOn(t, dir, hold(t, "admin"))
	require.Contains(t, p.logs.String(), "a socket was passed for a listener that this process does not have")
	require.Empty(t, p.ready.Admin)
	require.Equal(t, 0, p.stop(), p.logs)
}

// Process 1 of a container hands its sockets on.
func TestProcess1PassesItsSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", smallConfig)
	webhooks := hold(t, "webhooks")
	p := start(t, dir, firstProcess(pass(command(t, dir, "--json", "serve", "--config", "hookspan.yaml"), webhooks)))
	require.Contains(t, p.url(), webhooks.Addr().String())
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	require.Equal(t, 0, p.stop(), p.logs)
}

// While the handlers of a bridge that ends still work, webhooks are accepted: the next bridge
// cannot begin yet.
func TestWebhooksAreAcceptedWhileHandlersEnd(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	put(t, dir, "hookspan.yaml", strings.ReplaceAll(smallConfig, "consumers: {archive: {enabled: false}}", "")+`
consumers:
  archive: {enabled: false}
  slow: {kind: exec, start: all, concurrency: 1, command: [/bin/sh, -c, 'touch "$0/begun"; until [ -e "$0/end" ]; do sleep 0.01; done', "`+out+`"]}
`)
	p := serveOn(t, dir, hold(t, "webhooks"))
	status, text := p.post(killBody("first"))
	require.Equal(t, 200, status, text)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(out, "begun"))
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.becomes(503, "shutting down")
	status, text = p.post(killBody("second"))
	require.Equal(t, 200, status, text)
	put(t, out, "end", "")
	require.Equal(t, 0, p.wait(), p.logs)
}
