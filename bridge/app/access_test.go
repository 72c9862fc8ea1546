package app

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// scopes are the routes of the API with the scope that each needs.
var scopes = map[string]string{
	"GET /alarms":                              "read",
	"GET /alarms/live":                         "read",
	"GET /audit":                               "read",
	"POST /backup":                             "act",
	"GET /config":                              "read",
	"GET /consumers":                           "read",
	"POST /consumers":                          "act",
	"GET /consumers/:name":                     "read",
	"POST /consumers/:name/filter-skips":       "read",
	"GET /consumers/:name/history":             "read",
	"POST /consumers/:name/pause":              "act",
	"POST /consumers/:name/remove":             "act",
	"POST /consumers/:name/resume":             "act",
	"POST /consumers/:name/seek":               "act",
	"GET /dead":                                "read",
	"GET /dead/:seq":                           "read",
	"POST /dead/drop":                          "act",
	"GET /dead/groups":                         "read",
	"POST /dead/redrive":                       "act",
	"GET /doctor":                              "read",
	"POST /erase":                              "act",
	"GET /events":                              "read",
	"GET /events/:seq":                         "read",
	"GET /events/live":                         "read",
	"POST /events/replay":                      "act",
	"GET /jobs":                                "read",
	"POST /jobs":                               "act",
	"GET /jobs/:id":                            "read",
	"POST /jobs/:id/cancel":                    "act",
	"GET /journal":                             "read",
	"POST /journal/resend":                     "act",
	"GET /me":                                  "read",
	"GET /models":                              "read",
	"GET /names":                               "read",
	"POST /poll":                               "act",
	"GET /predictions":                         "read",
	"POST /predictions/:source/*":              "submit",
	"GET /predictions/:source/:id":             "read",
	"PUT /predictions/:source/:id":             "submit",
	"GET /predictions/:source/:id/events":      "read",
	"GET /predictions/:source/:id/outputs/:n":  "read",
	"HEAD /predictions/:source/:id/outputs/:n": "read",
	"GET /predictions/:source/:id/timeline":    "read",
	"GET /quarantine":                          "read",
	"GET /quarantine/:stream/:seq":             "read",
	"GET /quarantine/causes":                   "read",
	"POST /quarantine/accept":                  "act",
	"POST /quarantine/drop":                    "act",
	"POST /quarantine/reverify":                "act",
	"GET /sources":                             "read",
	"GET /status":                              "read",
	"POST /test-events":                        "act",
	"GET /view":                                "read",
	"POST /view/rebuild":                       "act",
}

// tokensOf are tokens by the scopes that they have.
var tokensOf = map[string]string{
	"read": "read-token-0123456789", "act": "act-token-0123456789", "submit": "submit-token-0123456789", "all": "all-token-0123456789",
}

// newGuardedApp starts an App whose API needs tokens.
func newGuardedApp(t *testing.T, listen string) *App {
	t.Helper()
	cfg, err := config.Load(configFile(t, "data_dir: "+t.TempDir()+strings.Replace(freePorts, `admin: {listen: "127.0.0.1:0"}`, `
admin:
  listen: "`+listen+`"
  tokens:
    - {name: reader, scopes: [read], secret: env:read}
    - {name: actor, scopes: [act], secret: env:act}
    - {name: app, scopes: [submit], secret: env:submit}
    - {name: everybody, scopes: [read, act, submit], secret: env:all}
`, 1)))
	require.NoError(t, err)
	getenv := func(name string) (string, bool) {
		if token, ok := tokensOf[name]; ok {
			return token, true
		}
		return sampleSecret, name == "GET3W_WEBHOOK_SECRET"
	}
	a, err := New(cfg, Options{Getenv: getenv, Log: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Stop()) })
	require.NoError(t, a.Start(t.Context()))
	return a
}

// calling returns a function that calls the API with a token, empty for none, from one address
// of loopback.
func calling(t *testing.T, a *App, address string) func(method, path, token string) (status int, body string) {
	t.Helper()
	_, port, err := net.SplitHostPort(a.operators.Addr().String())
	require.NoError(t, err)
	transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	return func(method, path, token string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(context.Background(), method, "http://127.0.0.1:"+port+admin.APIPrefix+path, strings.NewReader("{}"))
		require.NoError(t, err)
		if method == http.MethodGet || method == http.MethodHead {
			req.Body, req.ContentLength = http.NoBody, 0
		}
		req.Header.Set("Content-Type", "application/json")
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		res, err := transport.RoundTrip(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		if res.Header.Get("Content-Type") == "text/event-stream" {
			return res.StatusCode, "" // it does not end
		}
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(text)
	}
}

// Each route of the API needs one scope, on loopback and off it, and no other one will do. A
// route that is new belongs into the table.
func TestEveryRouteHasAScope(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"127.0.0.1:0", "0.0.0.0:0"} {
		a := newGuardedApp(t, listen)
		router := echo.New()
		a.registerAPI(router.Group(admin.APIPrefix), work{})
		routes := map[string]bool{}
		for _, r := range router.Routes() {
			routes[r.Method+" "+strings.TrimPrefix(r.Path, admin.APIPrefix)] = true
		}
		require.Equal(t, slices.Sorted(maps.Keys(scopes)), slices.Sorted(maps.Keys(routes)))

		parameter := regexp.MustCompile(`:\w+|\*`)
		call, guess := calling(t, a, "127.0.1.1"), byte(1)
		for _, route := range slices.Sorted(maps.Keys(routes)) {
			method, path, _ := strings.Cut(route, " ")
			path = parameter.ReplaceAllString(path, "~") // nothing has this name
			for of, token := range tokensOf {
				status, body := call(method, path, token)
				if of == scopes[route] || of == "all" {
					require.NotContains(t, []int{401, 403, 405, 429}, status, "%s with %s: %s", route, of, body)
					continue
				}
				require.Equal(t, 403, status, "%s with %s: %s", route, of, body)
				if method != http.MethodHead {
					require.Contains(t, body, "the scope "+scopes[route]+".")
				}
			}
			status, body := call(method, path, "")
			require.Equal(t, 401, status, route)
			guess++ // an address of its own, since wrong tokens are limited
			status, wrong := calling(t, a, net.IPv4(127, 0, 2, guess).String())(method, path, "wrong-token-0123456789")
			require.Equal(t, 401, status, route)
			if method != http.MethodHead {
				require.Equal(t, detail(t, body), detail(t, wrong))
			}
		}
	}
}

func detail(t *testing.T, body string) string {
	t.Helper()
	var problem struct {
		Detail string `json:"detail"`
	}
	require.NoError(t, json.Unmarshal([]byte(body), &problem), body)
	require.NotEmpty(t, problem.Detail)
	return problem.Detail
}

// The audit of a bridge goes on after a restart.
func TestAuditOfABridge(t *testing.T) {
	t.Parallel()
	a := newGuardedApp(t, "127.0.0.1:0")
	call := calling(t, a, "127.0.1.1")
	status, body := call(http.MethodPost, "/view/rebuild", tokensOf["act"])
	require.Equal(t, 200, status, body)
	status, body = call(http.MethodPut, "/predictions/get3w/pred_1", tokensOf["submit"])
	require.Equal(t, 200, status, body)
	require.NoError(t, a.Stop())

	again, err := New(a.cfg, Options{Getenv: a.getenv, Log: io.Discard})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Stop()) })
	require.NoError(t, again.Start(t.Context()))
	status, body = calling(t, again, "127.0.1.1")(http.MethodGet, "/audit", tokensOf["read"])
	require.Equal(t, 200, status)
	var list adminapi.AuditList
	require.NoError(t, json.Unmarshal([]byte(body), &list))
	require.Len(t, list.Changes, 2)
	require.Equal(t, []string{"app", "PUT /predictions/:source/:id"}, []string{list.Changes[0].Who, list.Changes[0].Route})
	require.Equal(t, []string{"actor", "POST /view/rebuild"}, []string{list.Changes[1].Who, list.Changes[1].Route})
	require.Equal(t, 1, *list.Changes[0].Count)
}
