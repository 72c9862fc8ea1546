package freshconn

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a name that leads to one of two instances, as a resolver has it.
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
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			s.dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, s.leads.Load().Listener.Addr().String())
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

func both(t *testing.T, test func(t *testing.T, s *service)) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) { test(t, newService(t, http2)) })
	}
}

// A service that leads elsewhere is asked there within the age, although the old instance
// lives and answers.
func TestConnectionsHaveAnAge(t *testing.T) {
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

// A request after one that failed has another connection.
func TestFailedRequestsLeaveTheirConnections(t *testing.T) {
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

// So has one after a request that was not answered in time.
func TestUnansweredRequestsLeaveTheirConnections(t *testing.T) {
	both(t, func(t *testing.T, s *service) {
		require.Contains(t, s.ask(), "old")
		s.leads.Store(s.next)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://service.example/", nil)
		require.NoError(t, err)
		resp, err := s.transport.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		require.ErrorIs(t, err, context.Canceled)
		require.Contains(t, s.ask(), "new")
	})
}

// A request that is under way keeps its connection, which is closed when it ends.
func TestRequestUnderWayIsFinished(t *testing.T) {
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
