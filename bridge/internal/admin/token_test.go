package admin_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge/internal/admin"
)

const (
	reader = "reader-token-0123456789"
	actor  = "actor-token-0123456789"
)

func twoTokens() []admin.Token {
	return []admin.Token{
		admin.NewToken("reader", []string{"read"}, []byte(reader)), admin.NewToken("actor", []string{"act"}, []byte(actor)),
	}
}

// guarded runs a server with two tokens. Its log must hold none of them.
func guarded(t *testing.T, listen string, audit admin.Audit) *admin.Server {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	s, err := admin.New(admin.Config{Listen: listen, Tokens: twoTokens()}, admin.Deps{Metrics: prometheus.NewRegistry(), Audit: audit}, zap.New(core))
	require.NoError(t, err)
	run(t, s)
	s.SetAPI(things)
	t.Cleanup(func() {
		for _, entry := range logs.All() {
			require.NotContains(t, entry.Message, "token-0123456789")
		}
	})
	return s
}

// from sends a request with these Authorization headers from an address of loopback.
func from(t *testing.T, s *admin.Server, address, method, path string, authorization ...string) answer {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr().String())
	require.NoError(t, err)
	req, err := http.NewRequest(method, "http://127.0.0.1:"+port+path, strings.NewReader("{}"))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header["Authorization"] = authorization
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, res.Header, string(text)}
}

// Only one header with exactly one token lets anybody in, on loopback and off it; every other
// one gets the same answer.
func TestTokens(t *testing.T) {
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		s := guarded(t, listen, nil)
		for i, authorization := range [][]string{
			{"Bearer " + reader}, {"bearer " + reader}, {"BEARER " + reader},
		} {
			require.Equal(t, 200, from(t, s, "127.0.1.1", http.MethodGet, "/api/v1/things", authorization...).status, i)
		}
		var text string
		for i, authorization := range [][]string{
			nil,
			{""},
			{"Bearer"},
			{"Bearer "},
			{reader},
			{"Basic " + reader},
			{"Bearer  " + reader},
			{"Bearer\t" + reader},
			{"Bearer " + reader + " x"},
			{"Bearer " + reader + "," + actor},
			{"Bearer " + reader[:len(reader)-1]},
			{"Bearer " + reader + "0"},
			{"Bearer " + strings.ToUpper(reader)},
			{"Bearer " + reader, "Bearer " + reader},
			{"Bearer wrong", "Bearer " + reader},
			{"Bearer " + reader, "Basic x"},
			{"Bearer " + reader, ""},
			{"Bearer " + strings.Repeat("x", 60_000)},
			{"Bearer " + reader + strings.Repeat(" ", 600) + "x"},
			{"Bearer réader-token-0123456789"},
			{"Bearer \xff\xfe"},
			{"Bearer ｒｅａｄｅｒ-token-0123456789"},
			{"Bearer 0"},
		} {
			a := from(t, s, "127.0.2."+string(rune('1'+i%9))+string(rune('0'+i/9)), http.MethodGet, "/api/v1/things", authorization...)
			require.Equal(t, 401, a.status, "%d %.80q", i, authorization)
			require.Equal(t, "Bearer", a.header.Get("WWW-Authenticate"))
			if text == "" {
				text = a.detail(t)
			}
			require.Equal(t, text, a.detail(t), "%.80q", authorization)
		}
		for _, query := range []string{"?token=" + reader, "?access_token=" + reader, "?a=b&token"} {
			a := from(t, s, "127.0.3.1", http.MethodGet, "/api/v1/things"+query, "Bearer "+reader)
			require.Equal(t, 400, a.status)
			require.NotContains(t, a.body, reader)
			require.Equal(t, 400, from(t, s, "127.0.3.1", http.MethodGet, "/api/v1/things"+query).status)
		}
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			require.Equal(t, 200, from(t, s, "127.0.3.1", http.MethodGet, path).status)
		}
		for _, method := range []string{http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodTrace, http.MethodConnect, "PROPFIND"} {
			require.Equal(t, 401, from(t, s, "127.0.3.1", method, "/api/v1/things").status, method)
			a := from(t, s, "127.0.1.1", method, "/api/v1/things", "Bearer "+reader)
			want := 403
			switch method {
			case http.MethodHead:
				want = 405
			case http.MethodOptions:
				want = 204
			}
			require.Equal(t, want, a.status, method)
			if want == 403 {
				require.Contains(t, a.detail(t), "the scope act")
			}
		}
		require.Equal(t, 403, from(t, s, "127.0.1.1", http.MethodGet, "/api/v1/things", "Bearer "+actor).status, "no scope includes another one")
		require.Equal(t, 200, from(t, s, "127.0.1.1", http.MethodPost, "/api/v1/things", "Bearer "+actor).status)
	}
}

// Whoever sends wrong tokens waits, whatever they send next. Others of the same address, whose
// token was right before, and other addresses do not wait.
func TestWrongTokensAreLimited(t *testing.T) {
	s := guarded(t, "127.0.0.1:0", nil)
	get := func(address, token string) answer {
		return from(t, s, address, http.MethodGet, "/api/v1/things", "Bearer "+token)
	}
	require.Equal(t, 200, get("127.0.1.1", reader).status)
	limited := 0
	for range 30 {
		a := get("127.0.1.1", "wrong")
		if a.status == 429 {
			require.Regexp(t, "^[1-9]$", a.header.Get("Retry-After"))
			require.Contains(t, a.detail(t), "try again later")
			limited++
			continue
		}
		require.Equal(t, 401, a.status)
	}
	require.NotZero(t, limited)
	require.Equal(t, 200, get("127.0.1.1", reader).status)
	require.Equal(t, 403, get("127.0.1.2", actor).status)
	require.Equal(t, 401, from(t, s, "127.0.1.1", http.MethodGet, "/api/v1/things").status, "who sends none guesses none")
	require.Equal(t, 200, from(t, s, "127.0.1.1", http.MethodGet, "/livez").status)
}

// Tokens come and go while the server runs. One that is gone ends what waits with it. A list
// that became empty opens nothing.
func TestTokensChange(t *testing.T) {
	s, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(t, err)
	run(t, s)
	began, ended := make(chan struct{}), make(chan struct{})
	s.SetAPI(func(api *echo.Group) {
		things(api)
		api.GET("/predictions/:source/:id/events", func(c echo.Context) error {
			began <- struct{}{}
			<-c.Request().Context().Done()
			ended <- struct{}{}
			return echo.NewHTTPError(http.StatusServiceUnavailable, "The process stops: try again.")
		})
	})
	status := func(token string) int {
		return from(t, s, "127.0.1.1", http.MethodGet, "/api/v1/things", "Bearer "+token).status
	}
	s.SetTokens(nil)
	require.Equal(t, 200, get(t, s, "/api/v1/things").status)
	s.SetTokens(twoTokens())
	require.Equal(t, 401, get(t, s, "/api/v1/things").status)
	require.Equal(t, 200, status(reader))

	wait := func() {
		go func() {
			req, err := http.NewRequest(http.MethodGet, "http://"+s.Addr().String()+"/api/v1/predictions/a/b/events", nil)
			if err == nil {
				req.Header.Set("Authorization", "Bearer "+reader)
				statusOf(req)
			}
		}()
		<-began
	}
	wait()
	s.SetTokens(twoTokens())
	select {
	case <-ended:
		t.Fatal("the token is the same")
	default:
	}
	s.SetTokens(twoTokens()[1:])
	<-ended
	require.Equal(t, 401, status(reader))
	require.Equal(t, 403, status(actor))
	s.SetTokens([]admin.Token{admin.NewToken("reader", []string{"act"}, []byte(reader))})
	require.Equal(t, 403, status(reader), "its scopes changed")
	for _, none := range [][]admin.Token{{}, nil} {
		s.SetTokens(none)
		require.Equal(t, 401, get(t, s, "/api/v1/things").status)
		require.Equal(t, 401, status(""))
	}
	require.Equal(t, 200, get(t, s, "/livez").status)
}

// Tokens that are configured and cannot be used open nothing.
func TestNoUsableToken(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	s.SetAPI(things)
	require.Equal(t, 200, get(t, s, "/api/v1/things").status)
	s.SetTokens([]admin.Token{})
	require.Equal(t, 401, get(t, s, "/api/v1/things").status)
}

func TestRefusalsAreCounted(t *testing.T) {
	s := guarded(t, "127.0.0.1:0", nil)
	get(t, s, "/api/v1/things")
	do(t, s, http.MethodGet, "/livez", "", map[string]string{"Host": "evil.example"})
	do(t, s, http.MethodGet, "/livez", "", map[string]string{"Origin": "http://evil.example"})
	from(t, s, "127.0.1.1", http.MethodPost, "/api/v1/things", "Bearer "+reader)
	require.NoError(t, testutil.CollectAndCompare(s.Collectors()[0], strings.NewReader(`
# HELP hookspan_admin_refused_total Requests to the admin listener that were refused, by reason: host, origin, no_tokens, token, limited, scope.
# TYPE hookspan_admin_refused_total counter
hookspan_admin_refused_total{reason="host"} 1
hookspan_admin_refused_total{reason="limited"} 0
hookspan_admin_refused_total{reason="no_tokens"} 0
hookspan_admin_refused_total{reason="origin"} 1
hookspan_admin_refused_total{reason="scope"} 1
hookspan_admin_refused_total{reason="token"} 1
`)))
}

// No page of another site reaches any path, whatever it sends: neither a form nor a script, nor
// one that asks for a WebSocket. Requests that are built to be read in two ways reach none
// either.
func TestOriginOfEveryPath(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	s.SetAPI(things)
	host := s.Addr().String()
	paths := []string{"/livez", "/readyz", "/metrics", "/api/v1/things", "/", "/nothing", "/api", "//livez", "*"}
	for _, path := range paths {
		for _, foreign := range []string{
			"Origin: http://evil.example", "Origin: null", "Origin:", "Origin: http://" + host + "/\r\nOrigin: http://evil.example", "Origin: http://" + host + ".evil.example",
			"Origin: http://evil.example@" + host + ".evil.example", "Origin: file://", "Origin: " + host, "Origin: http://127.0.0.1:1", "Origin: http://\x01",
			"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Sec-Fetch-Site: none, cross-site",
			"Origin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
		} {
			for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", "application/json; charset=utf-8"} {
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
					if path == "*" && method != "OPTIONS" {
						continue
					}
					status := rawStatus(t, s, method+" "+path+" HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: "+contentType+"\r\n"+foreign+"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
					require.Contains(t, []string{"403", "400"}, status, "%s %s %q", method, path, foreign)
				}
			}
		}
	}
	const link = "\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: "
	for head, want := range map[string]string{
		"GET /nothing HTTP/1.1\r\nHost: " + host + link + "document":                                                                                  "404", // somebody follows a link
		"GET /nothing HTTP/1.1\r\nHost: " + host + link + "iframe":                                                                                    "403",
		"GET /nothing HTTP/1.1\r\nHost: " + host + link + "document\r\nOrigin: ":                                                                      "403",
		"GET /nothing HTTP/1.1\r\nHost: " + host + link + "document\r\nSec-Fetch-Mode: cors":                                                          "403",
		"GET /nothing HTTP/1.1\r\nHost: evil.example" + link + "document":                                                                             "403",
		"POST /nothing HTTP/1.1\r\nHost: " + host + link + "document":                                                                                 "403",
		"GET /api/v1/things HTTP/1.1\r\nHost: " + host + link + "document":                                                                            "403",
		"GET /metrics HTTP/1.1\r\nHost: " + host + link + "document":                                                                                  "403",
		"GET /livez HTTP/1.1\r\nHost: " + host + "\r\nOrigin: HTTP://" + host:                                                                         "200",
		"GET /livez HTTP/1.1\r\nHost: " + host + "\r\nHost: evil.example":                                                                             "400",
		"GET http://evil.example/livez HTTP/1.1\r\nHost: " + host:                                                                                     "403",
		"GET http://evil.example/api/v1/things HTTP/1.1\r\nHost: " + host:                                                                             "403",
		"CONNECT " + host + " HTTP/1.1\r\nHost: " + host:                                                                                              "404",
		"CONNECT evil.example:80 HTTP/1.1\r\nHost: " + host:                                                                                           "403",
		"GET /livez HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==": "200",
		"GET /livez HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA":                                       "200",
		"PRI * HTTP/2.0\r\nHost: " + host:                                                                                                             "404",
		"GET /livez HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: " + host + "\r\nForwarded: host=" + host:                                      "403",
		"GET /livez HTTP/1.1\r\nHost: " + host + "\r\nX-HTTP-Method-Override: DELETE":                                                                 "200",
		"GET /api/v1/../../livez HTTP/1.1\r\nHost: " + host:                                                                                           "404",
	} {
		require.Equal(t, want, rawStatus(t, s, head+"\r\nConnection: close\r\n\r\n"), head)
	}
}

// rawStatus sends a request as it is and returns the status.
func rawStatus(t *testing.T, s *admin.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	require.NoError(t, err, request)
	return strings.Fields(line)[1]
}

// Whoever asks is told who that is and what the token may do.
func TestCallerIsTold(t *testing.T) {
	s := start(t, "127.0.0.1:0")
	s.SetAPI(admin.RegisterCaller)
	require.JSONEq(t, `{"name":"loopback","scopes":["read","act","submit"]}`, get(t, s, "/api/v1/me").body)
	s = guarded(t, "127.0.0.1:0", nil)
	s.SetAPI(admin.RegisterCaller)
	require.JSONEq(t, `{"name":"reader","scopes":["read"]}`, from(t, s, "127.0.0.1", http.MethodGet, "/api/v1/me", "Bearer "+reader).body)
	require.Equal(t, http.StatusForbidden, from(t, s, "127.0.0.1", http.MethodGet, "/api/v1/me", "Bearer "+actor).status)
}
