package activation

import (
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestPassed(t *testing.T) {
	t.Parallel()
	const self, parent = 77, 7
	for name, c := range map[string]struct {
		pid, fds, names string
		parent          int
		want            []string
		err             string
	}{
		"nothing":                      {},
		"for another process":          {pid: "78", fds: "1"},
		"for another, and garbage":     {pid: "78", fds: "x"},
		"for nobody":                   {pid: "x", fds: "1"},
		"for process 1":                {pid: "1", fds: "1"},
		"for process 1, the parent":    {pid: "1", fds: "1", parent: 1, want: []string{"webhooks"}},
		"none":                         {pid: "77", fds: "0"},
		"one":                          {pid: "77", fds: "1", want: []string{"webhooks"}},
		"one of a unit":                {pid: "77", fds: "1", names: "hookspan.socket", want: []string{"webhooks"}},
		"one without a name":           {pid: "77", fds: "1", names: "unknown", want: []string{"webhooks"}},
		"one by name":                  {pid: "77", fds: "1", names: "webhooks", want: []string{"webhooks"}},
		"admin alone":                  {pid: "77", fds: "1", names: "admin", want: []string{"admin"}},
		"both":                         {pid: "77", fds: "2", names: "webhooks:admin", want: []string{"webhooks", "admin"}},
		"both, turned round":           {pid: "77", fds: "2", names: "admin:webhooks", want: []string{"admin", "webhooks"}},
		"one by a wrong name":          {pid: "77", fds: "1", names: "admn", err: `named ["admn"]`},
		"two of one name":              {pid: "77", fds: "2", names: "webhooks:webhooks", err: "name one webhooks and another one admin"},
		"two without names":            {pid: "77", fds: "2", err: "name one webhooks and another one admin"},
		"two of units":                 {pid: "77", fds: "2", names: "a.socket:b.socket", err: "FileDescriptorName"},
		"too few names":                {pid: "77", fds: "2", names: "webhooks", err: "1 names for 2 sockets"},
		"too many names":               {pid: "77", fds: "1", names: "webhooks:admin", err: "2 names for 1 sockets"},
		"too many":                     {pid: "77", fds: "3", names: "webhooks:admin:x", err: "at most two"},
		"far too many":                 {pid: "77", fds: "2147483647", err: "at most two"},
		"more than an int":             {pid: "77", fds: "99999999999999999999", err: "must be a number"},
		"garbage":                      {pid: "77", fds: "one", err: `LISTEN_FDS is "one"`},
		"negative":                     {pid: "77", fds: "-1", err: `LISTEN_FDS is "-1"`},
		"without a number":             {pid: "77", err: `LISTEN_FDS is ""`},
		"a name that ends with nought": {pid: "77", fds: "2", names: "webhooks:", err: `named ["webhooks" ""]`},
	} {
		variables := map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds, "LISTEN_FDNAMES": c.names}
		getenv := func(name string) (string, bool) { return variables[name], variables[name] != "" }
		if c.parent == 0 {
			c.parent = parent
		}
		got, err := passed(getenv, self, c.parent)
		if c.err != "" {
			require.ErrorContains(t, err, c.err, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
}

// descriptor returns one of f's own, for listener to take over.
func descriptor(t *testing.T, f interface{ File() (*os.File, error) }) int {
	t.Helper()
	file, err := f.File()
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	fd, err := unix.Dup(int(file.Fd()))
	require.NoError(t, err)
	return fd
}

func TestOnlyListeningTCPSocketsAreTaken(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = tcp.Close() }()
	got, err := listener(descriptor(t, tcp.(*net.TCPListener)), webhooks)
	require.NoError(t, err)
	require.Equal(t, tcp.Addr(), got.Addr())
	require.NoError(t, got.Close())
	client, err := net.Dial("tcp", tcp.Addr().String())
	require.NoError(t, err, "it still listens for whoever passed it")
	defer func() { _ = client.Close() }()

	local, err := net.Listen("unix", t.TempDir()+"/socket")
	require.NoError(t, err)
	defer func() { _ = local.Close() }()
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = datagrams.Close() }()
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	for want, fd := range map[string]int{
		"does not listen":  descriptor(t, client.(*net.TCPConn)),
		"pass a TCP":       descriptor(t, local.(*net.UnixListener)),
		"Accept=no":        descriptor(t, datagrams.(*net.UDPConn)),
		"it is no socket":  int(file.Fd()),
		"bad file":         1 << 20,
		"operation on non": int(file.Fd()),
	} {
		_, err := listener(fd, webhooks)
		require.ErrorContains(t, err, want)
	}
}
