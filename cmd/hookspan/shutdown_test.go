package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// slowConfig gives a request long enough for a test to look at the bridge.
var slowConfig = strings.Replace(smallConfig, `ingress: {listen: "127.0.0.1:0"}`, `ingress: {listen: "127.0.0.1:0", deadline: 25s}`, 1)

// halfSent is a delivery whose body the bridge still waits for.
type halfSent struct {
	t    *testing.T
	conn net.Conn
	rest string
}

func (p *program) beginPost(body string) *halfSent {
	p.t.Helper()
	u, err := url.Parse(p.url())
	require.NoError(p.t, err)
	conn, err := net.Dial("tcp", u.Host)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { _ = conn.Close() })
	h := http.Header{"Expect": {"100-continue"}}
	sign(p.t, h, body)
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", u.Path, len(body))
	require.NoError(p.t, err)
	require.NoError(p.t, h.Write(conn))
	_, err = io.WriteString(conn, "\r\n")
	require.NoError(p.t, err)
	// The bridge says so once it reads the body.
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(p.t, err)
	require.Contains(p.t, line, "100 Continue")
	_, err = io.WriteString(conn, body[:len(body)/2])
	require.NoError(p.t, err)
	return &halfSent{p.t, conn, body[len(body)/2:]}
}

func (h *halfSent) finish() (status int) {
	h.t.Helper()
	_, err := io.WriteString(h.conn, h.rest)
	require.NoError(h.t, err)
	in := bufio.NewReader(h.conn)
	for {
		line, err := in.ReadString('\n')
		require.NoError(h.t, err)
		if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err == nil {
			return status
		}
	}
}

// The first signal makes the bridge not ready at once, and lets the request in
// flight finish; operators can see it until the end.
func TestStopFinishesWhatIsInFlight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, slowConfig)
	p.becomes(200, "ready")
	request := p.beginPost(documented)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.becomes(503, "shutting down")
	status, _ := p.admin("/livez")
	require.Equal(t, 200, status)
	require.Equal(t, 200, request.finish())
	require.Equal(t, 0, p.wait(), p.logs)

	p = serve(t, dir, smallConfig)
	status, text := p.post(documented)
	require.Equal(t, 200, status)
	require.Contains(t, text, "duplicate", "what was answered 200 is kept")
}

// A delivery that is refused while the bridge ends is kept like any other.
func TestStopKeepsWhatIsRefusedMeanwhile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, slowConfig)
	request := p.beginPost(documented)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.logged(`"msg":"stopping"`)
	p.becomes(503, "shutting down")
	request.rest = strings.Repeat(" ", len(request.rest))
	require.Equal(t, 401, request.finish())
	require.Equal(t, 0, p.wait(), p.logs)

	p = serve(t, dir, smallConfig)
	_, text := p.admin("/api/v1/quarantine?stream=refused")
	require.Equal(t, 1, strings.Count(text, `"seq"`), text)
	require.Equal(t, 0, p.stop(), p.logs)
}

// The second signal ends the bridge at once, with requests in flight.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir(), slowConfig)
	p.beginPost(documented)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.becomes(503, "shutting down")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	p.wait()
	how, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	require.True(t, ok)
	require.True(t, how.Signaled(), "it finished the request instead: %s", p.logs)
	require.Equal(t, syscall.SIGINT, how.Signal())
}
