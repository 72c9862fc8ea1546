package provider

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge/internal/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 20 * time.Second
	apiKey   = "sk-0123456789-not-to-be-seen"
)

// api is a provider that answers as told.
type api struct {
	*httptest.Server

	mu       sync.Mutex
	requests []*http.Request // without their bodies
	bodies   [][]byte
}

func serve(t *testing.T, answer http.HandlerFunc) *api {
	t.Helper()
	a := &api{}
	a.Server = httptest.NewServer(a.record(answer))
	t.Cleanup(a.Close)
	return a
}

func (a *api) record(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		a.mu.Lock()
		a.requests, a.bodies = append(a.requests, r), append(a.bodies, body.Bytes())
		a.mu.Unlock()
		answer(w, r)
	})
}

func (a *api) seen() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.requests)
}

// says answers with a status, a content type and a body.
func says(status int, media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", media)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func saysJSON(body string) http.HandlerFunc {
	return says(200, "application/json; charset=utf-8", body)
}

// drips sends the headers, then a byte now and then until the client leaves.
func drips(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := w.Write([]byte(" ")); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// cutOff closes the connection without an answer.
func cutOff(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// client returns a client whose log must never hold the key.
func client(t *testing.T, url string, change func(*Config)) *Client {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	kind, err := source.KindOf("get3w")
	require.NoError(t, err)
	cfg := Config{Source: "get3w", BaseURL: url, API: kind.API, Key: []byte(apiKey), MaxBody: 4 << 20, UserAgent: "Hookspan", Logger: zap.New(core)}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		for _, line := range logs.All() {
			for _, f := range line.Context {
				if err, ok := f.Interface.(error); ok {
					require.NotContains(t, err.Error(), apiKey)
				}
			}
		}
	})
	return c
}

func (c *Client) result(t *testing.T, id string) ([]byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	object, err := c.Result(ctx, id, "")
	if err != nil {
		require.NotContains(t, err.Error(), apiKey)
		require.NotContains(t, err.Error(), c.cfg.BaseURL)
	}
	return object, err
}

func (c *Client) submit(t *testing.T) (*Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	res, err := c.Submit(ctx, "get3w/flux-dev", []byte(`{"prompt":"a cat"}`))
	if err != nil {
		require.NotContains(t, err.Error(), apiKey)
		require.NotContains(t, err.Error(), c.cfg.BaseURL)
	}
	return res, err
}
