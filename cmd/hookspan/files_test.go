package main

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Idle connections that use up the files of the process give way to a sender.
func TestIdleConnectionsBeyondTheLimitOfFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(smallConfig), 0o600))
	cmd := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	// The program itself raises the soft limit; this sets the hard one too.
	cmd.Args = append([]string{"sh", "-c", `ulimit -n 96; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	p := start(t, dir, cmd)
	address, err := url.Parse(p.url())
	require.NoError(t, err)
	for range 200 {
		conn, err := net.Dial("tcp", address.Host)
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, err = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 1)) // now it may be idle for long
		require.NoError(t, err)
	}
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
}
