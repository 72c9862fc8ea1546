package admin_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap/zaptest"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(within{m}) }

// start runs a server on address until the test ends.
func start(t *testing.T, address string, checks ...admin.Check) *admin.Server {
	t.Helper()
	var all admin.Checks
	for _, check := range checks {
		all.Add(check)
	}
	s, err := admin.New(admin.Config{Listen: address}, admin.Deps{Checks: &all, Metrics: prometheus.NewRegistry(), ConfigSchema: []byte("{}")}, zaptest.NewLogger(t))
	require.NoError(t, err)
	run(t, s)
	return s
}

func run(t *testing.T, s *admin.Server) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		http.DefaultClient.CloseIdleConnections()
	})
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) detail(t *testing.T) string {
	t.Helper()
	require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), a.body)
	var p struct {
		Status    int    `json:"status"`
		Title     string `json:"title"`
		Detail    string `json:"detail"`
		RequestID string `json:"request_id"`
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &p))
	require.Equal(t, a.status, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.RequestID)
	return p.Detail
}

// do sends a request to the server; a header named Host is its Host.
func do(t *testing.T, s *admin.Server, method, path, body string, header map[string]string) answer {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr().String())
	require.NoError(t, err)
	req, err := http.NewRequest(method, "http://127.0.0.1:"+port+path, strings.NewReader(body))
	require.NoError(t, err)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	if host := header["Host"]; host != "" {
		req.Host = host
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

func get(t *testing.T, s *admin.Server, path string) answer {
	t.Helper()
	return do(t, s, http.MethodGet, path, "", nil)
}
