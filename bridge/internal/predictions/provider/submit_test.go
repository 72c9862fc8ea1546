package provider

import (
	"bufio"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSubmit(t *testing.T) {
	t.Parallel()
	a := serve(t, saysJSON(`{"code":200,"message":"success","data":{"id":"pred_1","status":"created"}}`))
	c := client(t, a.URL+"/api/v3", nil)
	res, err := c.submit(t)
	require.NoError(t, err)
	require.True(t, res.OK())
	require.JSONEq(t, `{"id":"pred_1","status":"created"}`, string(res.Object))
	require.JSONEq(t, `{"prompt":"a cat"}`, string(a.bodies[0]))
	r := a.requests[0]
	require.Equal(t, "/api/v3/get3w/flux-dev", r.RequestURI)
	require.Equal(t, "Bearer "+apiKey, r.Header.Get("Authorization"))
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.EqualValues(t, 18, r.ContentLength)
	require.Empty(t, r.Header.Get("Idempotency-Key"), "net/http would send it again by itself")
}

func TestProviderRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  http.HandlerFunc
		status  int
		message string
	}{
		"400":             {says(400, "application/json", `{"code":400,"message":"no prompt","data":null}`), 400, "no prompt"},
		"401 with a key":  {says(401, "application/json", `{"code":401,"message":"bad `+apiKey+`"}`), 401, "bad [censored]"},
		"HTML":            {says(502, "text/html", `<html>`), 502, ""},
		"an error in 200": {saysJSON(`{"code":403,"message":"insufficient balance","data":null}`), 403, "insufficient balance"},
		"of v1":           {says(422, "application/json", `{"code":422,"error":"what?"}`), 422, "what?"},
	} {
		a := serve(t, c.answer)
		res, err := client(t, a.URL, nil).submit(t)
		require.NoError(t, err, name)
		require.False(t, res.OK())
		require.Equal(t, c.status, res.Status, name)
		require.Equal(t, c.message, res.Message, name)
		require.Equal(t, 1, a.seen(), "nobody asks twice")
	}
	res, err := client(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(http.StatusTooManyRequests)
	}).URL, nil).submit(t)
	require.NoError(t, err)
	require.Equal(t, 17*time.Second, res.RetryAfter)
}

func TestOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"cut off": cutOff, "HTML": says(200, "text/html", "<html>"), "truncated": saysJSON(`{"data":{"id":"a"`), "no HTTP": garbage,
		"hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "drips": drips,
	} {
		a := serve(t, answer)
		_, err := client(t, a.URL, func(cfg *Config) { cfg.Timeout = time.Second }).submit(t)
		require.ErrorIs(t, err, ErrUnknownOutcome, name)
		require.NotErrorIs(t, err, ErrNotSent)
		require.Equal(t, name == "hangs" || name == "drips", errors.Is(err, context.DeadlineExceeded), name)
		require.Equal(t, 1, a.seen(), name)
	}
}

// A submission that cannot have arrived is sent again.
func TestNotSentIsSentAgain(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = client(t, "http://"+l.Addr().String(), nil).submit(t)
	require.ErrorIs(t, err, ErrNotSent)
	require.NotErrorIs(t, err, ErrUnknownOutcome)

	var asked atomic.Int32
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	_, err = client(t, secure.URL, nil).submit(t)
	require.ErrorIs(t, err, ErrNotSent, "its certificate is nobody's")
	require.ErrorContains(t, err, "certificate")
	require.Zero(t, asked.Load())

	// The second connection works.
	a := &api{}
	a.Server = httptest.NewUnstartedServer(a.record(saysJSON(`{"data":{"id":"a"}}`)))
	flaky := &flakyListener{Listener: a.Listener}
	a.Listener = flaky
	a.StartTLS()
	t.Cleanup(a.Close)
	res, err := client(t, a.URL, trusting(a)).submit(t)
	require.NoError(t, err)
	require.True(t, res.OK())
	require.Equal(t, 1, a.seen())
	require.GreaterOrEqual(t, flaky.accepted.Load(), int32(2))
}

func trusting(a *api) func(*Config) {
	return func(cfg *Config) {
		cfg.roots = x509.NewCertPool()
		cfg.roots.AddCert(a.Certificate())
	}
}

// flakyListener closes its first connection at once.
type flakyListener struct {
	net.Listener

	accepted atomic.Int32
}

func (l *flakyListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil && l.accepted.Add(1) == 1 {
		_ = conn.Close()
	}
	return conn, err
}

// A server that reads the second request of a connection and closes without an answer looks
// like a provider that has accepted it and then fails. net/http must not send the request
// again by itself, over plain or encrypted connections.
func TestKeptConnectionSendsOnce(t *testing.T) {
	t.Parallel()
	for _, encrypted := range []bool{false, true} {
		var posts atomic.Int32
		a := &api{}
		a.Server = httptest.NewUnstartedServer(a.record(func(w http.ResponseWriter, r *http.Request) {
			if posts.Add(1) > 1 {
				if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					_ = conn.Close()
				}
				return
			}
			saysJSON(`{"data":{"id":"a"}}`)(w, r)
		}))
		change := func(*Config) {}
		if encrypted {
			a.StartTLS()
			change = trusting(a)
		} else {
			a.Start()
		}
		t.Cleanup(a.Close)
		c := client(t, a.URL, change)
		_, err := c.submit(t)
		require.NoError(t, err)
		_, err = c.submit(t)
		require.ErrorIs(t, err, ErrUnknownOutcome)
		require.EqualValues(t, 2, posts.Load())
		require.Equal(t, a.requests[0].RemoteAddr, a.requests[1].RemoteAddr, "it was the connection that was kept")
	}
}

// On a connection that takes no bytes any more nothing was sent: the submission goes over
// another one.
func TestClosedConnectionIsNoDoubt(t *testing.T) {
	t.Parallel()
	a := serve(t, saysJSON(`{"data":{"id":"a"}}`))
	c := client(t, a.URL, nil)
	for range 8 {
		var s sending
		req, err := c.newRequest(s.trace(context.Background()), http.MethodGet, "/x", []byte(apiKey), http.NoBody, 0)
		require.NoError(t, err)
		res, err := c.submits.Do(req)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.True(t, s.begun())
		require.NoError(t, s.conn.Load().Conn.(*net.TCPConn).CloseWrite())
		_, err = c.submit(t)
		require.NoError(t, err)
	}
	require.Equal(t, 16, a.seen())
}

func TestStream(t *testing.T) {
	t.Parallel()
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		for _, line := range []string{`data: {"id":"a"}`, "", ": " + r.Header.Get("Authorization"), "", "data: end"} {
			_, _ = io.WriteString(w, line+"\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	c := client(t, a.URL, func(cfg *Config) { cfg.Timeout = 200 * time.Millisecond })
	res, err := c.submit(t)
	require.NoError(t, err)
	in := bufio.NewReader(res.Stream)
	for _, want := range []string{`data: {"id":"a"}`, "", ": Bearer [censored]", "", "data: end"} {
		line, err := in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want+"\n", line)
	}
	select { // it lasts longer than Timeout
	case <-a.requests[0].Context().Done():
		t.Fatal("it was cut off")
	case <-time.After(2 * c.cfg.Timeout):
	}
	require.NoError(t, res.Stream.Close())
	<-a.requests[0].Context().Done()
}

func TestStreamEndsWithItsContext(t *testing.T) {
	t.Parallel()
	a := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(context.Background())
	res, err := client(t, a.URL, nil).Submit(ctx, "m", nil)
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(res.Stream)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, res.Stream.Close())
}

func TestModel(t *testing.T) {
	t.Parallel()
	for model, path := range map[string]string{
		"get3w/flux-dev": "/get3w/flux-dev", "black-forest-labs/flux-1.1-pro": "/black-forest-labs/flux-1.1-pro", "a/b/c/d/e/f/g/h": "/a/b/c/d/e/f/g/h",
		"a?b/c#d": "/a%3Fb/c%23d", "ü": "/%C3%BC", "a%2Fb": "/a%252Fb", ".../x": "/.../x", "x/predictions": "/x/predictions",
	} {
		require.NoError(t, CheckModel(model), model)
		require.Equal(t, path, modelPath(model))
	}
	for _, model := range []string{
		"", "/", "a/", "/a", "a//b", ".", "a/..", "../a", "a/./b", "a/b/c/d/e/f/g/h/i", "a\nb", "a\xff", strings.Repeat("x", 129), "predictions", "predictions/pred_1/cancel",
	} {
		require.Error(t, CheckModel(model), model)
	}
	_, err := client(t, "http://127.0.0.1:1", nil).Submit(context.Background(), "..", nil)
	require.ErrorIs(t, err, ErrNotSent)
}
