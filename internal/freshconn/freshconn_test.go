package freshconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// errForbidden is of a guard that checks each address before it is dialled.
var errForbidden = errors.New("forbidden address")

// service is a name that a resolver leads to one of two instances.
type service struct {
	t         *testing.T
	transport *Transport
	clock     atomic.Int64 // seconds
	leads     atomic.Pointer[httptest.Server]
	old, next *httptest.Server
	status    atomic.Int32 // of the old instance
	open      atomic.Int32 // connections to the old one
	dials     atomic.Int32
}

func newService(t *testing.T, http2 bool) *service {
	t.Helper()
	s := &service{t: t}
	s.status.Store(http.StatusOK)
	instance := func(name string, status func() int) *httptest.Server {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status())
			_, _ = io.WriteString(w, name+" "+r.Proto)
		}))
		srv.EnableHTTP2 = true
		if name == "old" {
			srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				switch state {
				case http.StateNew:
					s.open.Add(1)
				case http.StateClosed:
					s.open.Add(-1)
				default:
				}
			}
		}
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv
	}
	s.old = instance("old", func() int { return int(s.status.Load()) })
	s.next = instance("new", func() int { return http.StatusOK })
	s.leads.Store(s.old)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	s.transport = New(&http.Transport{
		Protocols:       protocols,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialer := &net.Dialer{}
			if address == "forbidden.example:443" {
				dialer.Control = func(string, string, syscall.RawConn) error { return errForbidden }
			} else {
				s.dials.Add(1)
			}
			return dialer.DialContext(ctx, network, s.leads.Load().Listener.Addr().String())
		},
	}, time.Minute)
	s.transport.now = func() time.Time { return time.Unix(s.clock.Load(), 0) }
	s.transport.began = s.transport.now()
	t.Cleanup(s.transport.CloseIdleConnections)
	return s
}

func (s *service) ask() string {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodPost, "https://service.example/", strings.NewReader("event"))
	require.NoError(s.t, err)
	resp, err := s.transport.RoundTrip(req)
	require.NoError(s.t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.NoError(s.t, resp.Body.Close())
	return string(text)
}

// fail sends a request without an answer, and returns its error.
func (s *service) fail(ctx context.Context, url string) error {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(s.t, err)
	resp, err := s.transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	require.Error(s.t, err)
	return err
}

func both(t *testing.T, test func(t *testing.T, s *service)) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) { test(t, newService(t, http2)) })
	}
}

// A service with a new address is reached there within the age, although the old instance lives
// and answers.
func TestConnectionsHaveAnAge(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *service) {
		require.Contains(t, s.ask(), "old HTTP/")
		s.leads.Store(s.next)
		s.clock.Add(59)
		require.Contains(t, s.ask(), "old", "young connections are kept")
		require.EqualValues(t, 1, s.dials.Load())
		s.clock.Add(1)
		for range 5 {
			require.Contains(t, s.ask(), "new")
		}
		require.EqualValues(t, 2, s.dials.Load())
		require.Eventually(t, func() bool { return s.open.Load() == 0 }, 20*time.Second, time.Millisecond, "the old connection is closed")
	})
}

// The request after a failed one has another connection.
func TestFailedRequestsLeaveTheirConnections(t *testing.T) {
	t.Parallel()
	for _, status := range []int32{500, 502, 503, 504} {
		both(t, func(t *testing.T, s *service) {
			require.Contains(t, s.ask(), "old")
			s.leads.Store(s.next)
			s.status.Store(status)
			require.Contains(t, s.ask(), "old")
			require.Contains(t, s.ask(), "new")
		})
	}
	for _, status := range []int32{200, 404, 410, 422, 429} {
		both(t, func(t *testing.T, s *service) {
			s.status.Store(status)
			for range 5 {
				require.Contains(t, s.ask(), "old")
			}
			require.EqualValues(t, 1, s.dials.Load(), "no failure of the instance: %d", status)
		})
	}
}

// So has the request after one without an answer in time, by a deadline or by a cause of its
// own.
func TestUnansweredRequestsLeaveTheirConnections(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *service) {
		require.Contains(t, s.ask(), "old")
		s.leads.Store(s.next)
		ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
		defer cancel()
		require.ErrorIs(t, s.fail(ctx, "https://service.example/"), context.DeadlineExceeded)
		require.Contains(t, s.ask(), "new")
	})
	both(t, func(t *testing.T, s *service) {
		require.Contains(t, s.ask(), "old")
		s.leads.Store(s.next)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("nothing came for 30s"))
		require.Error(t, s.fail(ctx, "https://service.example/"))
		require.Contains(t, s.ask(), "new")
	})
}

// A caller that cancels, and a host that cannot or must not be reached, leave the connections
// of others alone.
func TestConnectionsOutliveWhatIsNotTheirFault(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *service) {
		require.Contains(t, s.ask(), "old")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 5 {
			require.ErrorIs(t, s.fail(ctx, "https://service.example/"), context.Canceled)
			require.ErrorIs(t, s.fail(t.Context(), "https://forbidden.example/"), errForbidden)
			require.Contains(t, s.ask(), "old")
		}
		require.EqualValues(t, 1, s.dials.Load())
	})
}

// A request in flight keeps its connection, which is closed afterwards.
func TestRequestUnderWayIsFinished(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *service) {
		s.transport.current.IdleConnTimeout = time.Millisecond // an HTTP/2 connection is idle first
		reader, writer := io.Pipe()
		req, err := http.NewRequest(http.MethodPost, "https://service.example/", reader)
		require.NoError(t, err)
		answered := make(chan string, 1)
		go func() {
			resp, err := s.transport.RoundTrip(req)
			if err != nil {
				answered <- err.Error()
				return
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			answered <- string(text)
		}()
		_, err = writer.Write([]byte("begun"))
		require.NoError(t, err)
		s.leads.Store(s.next)
		s.clock.Add(60)
		require.Contains(t, s.ask(), "new")
		require.NoError(t, writer.Close())
		require.Contains(t, <-answered, "old")
		require.Eventually(t, func() bool { return s.open.Load() == 0 }, 20*time.Second, time.Millisecond)
	})
}

// A failed request leaves its connections, and breaks no other request that is just being given
// one of them.
func TestFailedRequestBreaksNoOther(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fails" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	t.Cleanup(srv.Close)
	transport := New(&http.Transport{IdleConnTimeout: time.Minute}, 0)
	t.Cleanup(transport.CloseIdleConnections)
	ask := func(path string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+path, nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.Body.Close()
	}
	for range 2000 {
		failed := make(chan error, 1)
		go func() { failed <- ask("/fails") }()
		require.NoError(t, ask("/works"))
		require.NoError(t, <-failed)
	}
}
