package admin_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// things is an API of one kind of thing.
func things(api *echo.Group) {
	api.GET("/things", func(c echo.Context) error { return c.JSON(http.StatusOK, []string{"a"}) })
	api.POST("/things", func(c echo.Context) error {
		text, err := io.ReadAll(c.Request().Body)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, len(text))
	})
	api.GET("/bad", func(echo.Context) error { return echo.NewHTTPError(http.StatusBadRequest, "seq is no number") })
	api.GET("/fault", func(echo.Context) error { return errors.New("a host name and a secret") })
	api.GET("/panic", func(echo.Context) error { panic("a secret") })
}

func TestAPI(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	a := get(t, s, "/api/v1/things")
	require.Equal(t, 503, a.status)
	require.Contains(t, a.detail(t), "not served yet")
	s.SetAPI(things)
	require.Equal(t, "[\"a\"]\n", get(t, s, "/api/v1/things").body)
	json := map[string]string{"Content-Type": "application/json; charset=utf-8"}
	require.Equal(t, 200, do(t, s, http.MethodPost, "/api/v1/things", "{}", json).status)

	a = get(t, s, "/api/v1/bad")
	require.Equal(t, 400, a.status)
	require.Equal(t, "seq is no number", a.detail(t))
	for _, path := range []string{"/api/v1/fault", "/api/v1/panic"} {
		a = get(t, s, path)
		require.Equal(t, 500, a.status)
		require.Empty(t, a.detail(t))
		require.NotContains(t, a.body, "secret")
	}
	for _, path := range []string{"/api", "/api/", "/api/v1", "/api/v2/things", "/api/v1/nothing"} {
		require.Equal(t, 404, get(t, s, path).status, path)
	}
	require.Equal(t, 405, do(t, s, http.MethodPut, "/api/v1/things", "{}", json).status)
	a = do(t, s, http.MethodPost, "/api/v1/things", strings.Repeat(" ", 1<<20+1), json)
	require.Equal(t, 413, a.status)
	require.Contains(t, a.detail(t), "1048576")
}

// Requests that a page of another site makes a browser send are refused, also when that
// site's name resolves to this machine.
func TestAPIIsNotForPagesOfOtherSites(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	s.SetAPI(things)
	_, port, err := net.SplitHostPort(s.Addr().String())
	require.NoError(t, err)
	for _, h := range []map[string]string{
		{},
		{"Host": "localhost:" + port},
		{"Host": "localhost"},
		{"Host": "[::1]:" + port},
		{"Host": "[::1]"},
		{"Sec-Fetch-Site": "none"},
		{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:" + port},
	} {
		require.Equal(t, 200, do(t, s, http.MethodGet, "/api/v1/things", "", h).status, h)
	}
	for _, h := range []map[string]string{
		{"Host": "evil.example:" + port},
		{"Host": "evil.example"},
		{"Host": "127.0.0.1.evil.example"},
		{"Host": "localhost.evil.example:" + port},
		{"Host": "10.0.0.1"},
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "http://evil.example"},
		{"Origin": "null"},
		{"Origin": "http://127.0.0.1:1"},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			a := do(t, s, method, "/api/v1/things", "", h)
			require.Equal(t, 403, a.status, h)
			a.detail(t)
		}
	}
	for _, ct := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json+x"} {
		require.Equal(t, 415, do(t, s, http.MethodPost, "/api/v1/things", "{}", map[string]string{"Content-Type": ct}).status, ct)
	}
}

// Beyond loopback there is no API without tokens; monitors still get health and metrics.
func TestAPIIsForLoopbackOnly(t *testing.T) {
	s := start(t, "0.0.0.0:0")
	s.SetAPI(things)
	a := get(t, s, "/api/v1/things")
	require.Equal(t, 403, a.status)
	require.Contains(t, a.detail(t), "admin.tokens")
	require.Equal(t, 403, do(t, s, http.MethodGet, "/api/v1/things", "", map[string]string{"Authorization": "Bearer 0123456789abcdef"}).status)
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		require.Equal(t, 200, get(t, s, path).status)
	}
}

// Every path is guarded by the same names, so a page whose name resolves to this listener
// reads nothing. Probes and monitors use an address.
func TestHostOfEveryPath(t *testing.T) {
	paths := []string{"/livez", "/readyz", "/metrics", "/api/v1/things", "/", "/nothing", "/api", "//livez", "/%6civez"}
	for listen, allowed := range map[string]map[string]bool{
		"127.0.0.1:0": {
			"": true, "localhost": true, "LOCALHOST.:1": true, "127.0.0.1": true, "127.9.9.9:1": true, "[::1]:1": true, "[::1]": true, "::1": true,
			"Ops.example.com:1": true, "ops.example.com.": true,
			"10.0.0.1:1": false, "[fd00::1]:1": false, "0.0.0.0": false,
		},
		"0.0.0.0:0": {
			"": true, "localhost:1": true, "127.0.0.1": true, "10.0.0.1:8081": true, "[fd00::1]:8081": true, "ops.example.com": true,
		},
	} {
		for _, evil := range []string{
			"evil.example", "evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1.nip.io", "ops.example.com.evil.example",
			"2130706433", "0x7f000001", "127.1", "[evil.example]:1", "evil.example:127.0.0.1", "a@localhost",
		} {
			allowed[evil] = false
		}
		s, err := admin.New(admin.Config{Listen: listen, Hosts: []string{"ops.example.com"}}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
		require.NoError(t, err)
		run(t, s)
		s.SetAPI(things)
		for host, ok := range allowed {
			for _, path := range paths {
				text := rawGet(t, s, path, host)
				refused := strings.Contains(text, " 403 ") && strings.Contains(text, "does not answer under this name") ||
					strings.Contains(text, " 400 ") // net/http's own answer to an invalid host
				require.Equal(t, ok, !refused, "%s %q %s: %s", listen, host, path, text)
			}
		}
	}
}

// rawGet returns the answer to a request with that Host header, or without one.
func rawGet(t *testing.T, s *admin.Server, path, host string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr().String())
	require.NoError(t, err)
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	header := ""
	if host != "" {
		header = "Host: " + host + "\r\n"
	}
	_, err = conn.Write([]byte("GET " + path + " HTTP/1.0\r\n" + header + "\r\n"))
	require.NoError(t, err)
	text, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(text)
}

// Requests of the API that hang are bounded and leave other paths alone.
func TestAPIInFlightIsBounded(t *testing.T) {
	const bound = 64
	s := start(t, "127.0.0.1:0")
	began, release := make(chan struct{}, bound), make(chan struct{})
	s.SetAPI(func(api *echo.Group) {
		api.GET("/hang", func(c echo.Context) error {
			began <- struct{}{}
			<-release
			return c.NoContent(http.StatusOK)
		})
	})
	var hanging sync.WaitGroup
	for range bound {
		hanging.Go(func() { hang(s) })
	}
	for range bound {
		<-began
	}
	a := get(t, s, "/api/v1/hang")
	require.Equal(t, 503, a.status)
	require.Contains(t, a.detail(t), "Too many")
	require.Equal(t, 200, get(t, s, "/livez").status)
	close(release)
	hanging.Wait()
	require.Equal(t, 200, get(t, s, "/api/v1/hang").status)
}

func hang(s *admin.Server) {
	res, err := http.Get("http://" + s.Addr().String() + "/api/v1/hang")
	if err == nil {
		_ = res.Body.Close()
	}
}
