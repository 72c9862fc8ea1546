package sending

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/signing"
)

func TestScheduleIsTheProvidersFaster(t *testing.T) {
	t.Parallel()
	s := NewSchedule(20)
	require.Equal(t, []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}, s.Gaps, "four attempts, and no fifth")
	require.Equal(t, leastTimeout, s.Timeout, "the bridge's deadline is not scaled, so the sender waits longer than that")
	require.Equal(t, 5*time.Second, s.Span(0))
	require.Equal(t, 9*time.Second, s.Span(time.Second))

	require.Equal(t, Schedule{Gaps: gaps, Timeout: Timeout}, NewSchedule(1))
	require.Equal(t, 220*time.Second, NewSchedule(1).Span(Timeout))
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	s := Schedule{Gaps: make([]time.Duration, 3)}
	for tries, want := range map[int]error{1: nil, 4: nil, 5: ErrAbandoned} {
		n := 0
		require.ErrorIs(t, s.Deliver(t.Context(), func() bool { n++; return n == tries }), want)
		require.Equal(t, min(tries, 4), n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.Gaps[0] = time.Hour
	require.ErrorIs(t, s.Deliver(ctx, func() bool { time.AfterFunc(0, cancel); return false }), context.Canceled)
}

// Each way in which an attempt ends has its words, and none of them the address.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.CloseClientConnections) // Close would wait for the one that hangs
		return s.URL
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	distrusted := httptest.NewUnstartedServer(http.NotFoundHandler())
	distrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	distrusted.StartTLS()
	t.Cleanup(distrusted.Close)
	for want, address := range map[string]string{
		"stored": serve(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if signing.Verify(r.Header.Get(signing.Header), body, []byte("key")) {
				_, _ = io.WriteString(w, `{"result":"stored","id":"a/completed/1"}`)
			}
		}),
		"503":               serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }),
		"302":               serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }),
		"unreadable answer": serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }),
		"no answer":         serve(func(http.ResponseWriter, *http.Request) { <-hang }),
		"connection lost":   serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"no connection":     "http://" + closed.Addr().String(),
		"no request":        "http://127.0.0.1:0x",
	} {
		timeout := time.Minute
		if want == "no answer" {
			timeout = 50 * time.Millisecond
		}
		c := NewClient(Options{Timeout: timeout, Conns: 1})
		body := NewWebhook("a", "m", "completed", time.Now()).Body()
		a, err := c.Post(t.Context(), address+"/webhooks/get3w/the-token", Header(body, []byte("key")), body)
		result, id, why := Outcome(a, err)
		require.Equal(t, want, result+why)
		require.Equal(t, result == "stored", id == "a/completed/1")
		if err != nil {
			require.NotContains(t, err.Error(), "the-token")
		}
		c.Close()
	}
	c := NewClient(Options{Timeout: time.Minute, Conns: 1})
	_, err = c.Post(t.Context(), distrusted.URL, nil, nil)
	require.ErrorIs(t, err, ErrNoConnection)
	trusting := NewClient(Options{Timeout: time.Minute, Conns: 1, TLS: &tls.Config{RootCAs: distrusted.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}})
	a, err := trusting.Post(t.Context(), distrusted.URL, nil, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, a.Status)
	trusting.Close()
}

func TestTextIsTheSameAgainAndCanBeJSON(t *testing.T) {
	t.Parallel()
	for _, hard := range []bool{false, true} {
		text := func() string { return Text(rand.New(rand.NewPCG(7, 0)), 5000, hard) }
		first := text()
		require.GreaterOrEqual(t, len(first), 5000)
		quoted, err := json.Marshal(first)
		require.NoError(t, err)
		var back string
		require.NoError(t, json.Unmarshal(quoted, &back))
		require.Equal(t, text(), back)
	}
}
