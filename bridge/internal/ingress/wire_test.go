package ingress

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/headers"
)

// refused returns a channel that is closed once the server takes no connection.
func (b *bench) refused(t testing.TB) <-chan struct{} {
	t.Helper()
	out := make(chan struct{})
	go func() {
		defer close(out)
		for {
			conn, err := net.Dial("tcp", b.Addr().String())
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return out
}

// shut reports whether deliveries are refused, which is a moment after connections are.
func (b *bench) shut() bool {
	b.drain.mu.Lock()
	defer b.drain.mu.Unlock()
	return b.drain.empty != nil
}

func dial(t testing.TB, b *bench) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

// raw is a request as bytes, with any content length.
func raw(t testing.TB, body string, length int) string {
	t.Helper()
	h := http.Header{}
	sign(t, h, body)
	return fmt.Sprintf("POST /webhooks/get3w HTTP/1.1\r\nHost: x\r\nX-Get3W-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		h.Get("X-Get3w-Signature"), length, body)
}

func answerOn(t testing.TB, conn net.Conn) response {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	return read(t, res)
}

// A sender may close its half of the connection and still wait for the answer; the event
// must not be lost with the context.
func TestHalfClosedRequestIsStored(t *testing.T) {
	b := start(t, Config{})
	closed := make(chan struct{})
	b.pub.answer = func(ctx context.Context, _ *bridge.Event) (bridge.Receipt, error) {
		<-closed
		select {
		case <-ctx.Done():
			return bridge.Receipt{}, ctx.Err()
		case <-b.refusedBody():
			return bridge.Receipt{Result: bridge.Stored}, nil
		}
	}
	conn := dial(t, b)
	_, err := conn.Write([]byte(raw(t, body("pred_1"), len(body("pred_1")))))
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	close(closed)
	res := answerOn(t, conn)
	require.Equal(t, 200, res.status)
	require.Equal(t, "stored", res.json["result"])
}

// refusedBody lets net/http notice a half-closed connection: the channel is ready once
// another whole request went through the server.
func (b *bench) refusedBody() <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		for range 3 {
			conn, err := net.Dial("tcp", b.Addr().String())
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
			_, _ = bufio.NewReader(conn).ReadString(0)
			_ = conn.Close()
		}
	}()
	return out
}

func TestCutOffBody(t *testing.T) {
	b := start(t, Config{})
	conn := dial(t, b)
	_, err := conn.Write([]byte(raw(t, body("pred_1"), 4000)))
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	require.Equal(t, 400, answerOn(t, conn).status)
	require.Empty(t, b.pub.published())
	require.Equal(t, "cut_off", b.logged(t, 1)["cause"])
}

// With too small a length the body does not match its signature, and the rest is no
// request.
func TestBodyLongerThanItsLength(t *testing.T) {
	b := start(t, Config{})
	conn := dial(t, b)
	_, err := conn.Write([]byte(raw(t, body("pred_1"), 20)))
	require.NoError(t, err)
	require.Equal(t, 401, answerOn(t, conn).status)
	require.Empty(t, b.pub.published())
}

func TestSlowBodyIsAnswered408(t *testing.T) {
	b := start(t, Config{Deadline: 200 * time.Millisecond})
	conn := dial(t, b)
	text := raw(t, body("pred_1"), len(body("pred_1")))
	_, err := conn.Write([]byte(text[:len(text)-1]))
	require.NoError(t, err)
	require.Equal(t, 408, answerOn(t, conn).status)
	require.Empty(t, b.pub.published())
}

func TestPublishIsGivenTheDeadline(t *testing.T) {
	b := start(t, Config{Deadline: 200 * time.Millisecond})
	b.pub.answer = func(ctx context.Context, _ *bridge.Event) (bridge.Receipt, error) {
		<-ctx.Done()
		return bridge.Receipt{}, fmt.Errorf("%w: %w", bridge.ErrUnknown, ctx.Err())
	}
	res := do(t, request(t, b.url+"/webhooks/get3w", body("pred_1")))
	require.Equal(t, 503, res.status)
}

func TestMalformedHTTP(t *testing.T) {
	b := start(t, Config{})
	for _, text := range []string{
		"POST /webhooks/get3w HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
		"POST /webhooks/get3w HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST /webhooks/get3w HTTP/1.1\r\nbad header\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
	} {
		conn := dial(t, b)
		_, err := conn.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, 400, answerOn(t, conn).status, "%q", text)
	}
	require.Empty(t, b.pub.published())
}

func TestPipelinedRequests(t *testing.T) {
	b := start(t, Config{})
	conn := dial(t, b)
	one, two := body("pred_1"), body("pred_2")
	_, err := conn.Write([]byte(raw(t, one, len(one)) + raw(t, two, len(two))))
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	for range 2 {
		res, err := http.ReadResponse(in, nil)
		require.NoError(t, err)
		require.Equal(t, 200, read(t, res).status)
	}
	require.Len(t, b.pub.published(), 2)
}

// padded is text with trailing spaces up to length bytes.
func padded(text string, length int) string { return text + strings.Repeat(" ", length-len(text)) }

// occupied starts a server with one request in flight until the returned function is
// called. Its body is the largest that cfg allows; cfg may leave the limit out.
func occupied(t testing.TB, cfg Config) (*bench, func()) {
	t.Helper()
	b := start(t, cfg)
	entered, finish := make(chan struct{}), make(chan struct{})
	b.pub.answer = func(_ context.Context, e *bridge.Event) (bridge.Receipt, error) {
		if strings.HasPrefix(e.ID, "first/") {
			close(entered)
			<-finish
		}
		return bridge.Receipt{Result: bridge.Stored}, nil
	}
	conn := dial(t, b)
	text := body("first")
	text = padded(text, max(len(text), int(cfg.MaxBody)))
	send(t, conn, raw(t, text, len(text)))
	<-entered
	return b, sync.OnceFunc(func() {
		close(finish)
		require.Equal(t, 200, answerOn(t, conn).status)
	})
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	b, finish := occupied(t, Config{MaxInFlight: 1})
	defer finish()
	res := do(t, request(t, b.url+"/webhooks/get3w", body("second")))
	require.Equal(t, 503, res.status)
	require.Equal(t, "10", res.header.Get("Retry-After"))
	finish()
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("second"))).status)
}

func TestBytesInFlightAreBounded(t *testing.T) {
	b, finish := occupied(t, Config{MaxBody: 2 * headers.MaxBytes, MaxInFlightBytes: 3 * headers.MaxBytes})
	defer finish()
	second := padded(body("second"), 3*headers.MaxBytes/2)
	for _, length := range []int64{int64(len(second)), -1} {
		r := request(t, b.url+"/webhooks/get3w", second)
		r.ContentLength = length
		res := do(t, r)
		require.Equal(t, 503, res.status)
		require.Equal(t, "10", res.header.Get("Retry-After"))
	}
	finish()
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", second)).status)
}

// An announced body takes no room from bodies that come.
func TestAnnouncedBytesAreNotReserved(t *testing.T) {
	b := start(t, Config{MaxBody: 1 << 20, MaxInFlightBytes: 1<<20 + headers.MaxBytes})
	for range 16 {
		conn := dial(t, b)
		_, err := conn.Write([]byte(raw(t, "", 1<<20)))
		require.NoError(t, err)
	}
	require.Equal(t, 200, do(t, request(t, b.url+"/webhooks/get3w", body("honest"))).status)
}

func TestNewRefuses(t *testing.T) {
	_, err := New(complete(Config{Listen: "127.0.0.1:99999"}), nil, deps(nil, nil), zap.NewNop())
	require.ErrorContains(t, err, "listening")
}
