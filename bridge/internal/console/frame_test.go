package console

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// answering returns pages whose API answers every path but /me with a handler, and what they
// log.
func answering(t *testing.T, answer http.HandlerFunc) (*Console, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	return New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == apiPrefix+"/me" {
			_, _ = fmt.Fprint(w, `{"name":"anna","scopes":["read"]}`)
			return
		}
		answer(w, r)
	}), zap.New(core)), logs
}

// refusing returns the handler of an API that answers with a problem.
func refusing(status int, detail string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"status":%d,"title":%q,"detail":%q}`, status, http.StatusText(status), detail)
	}
}

// asking sends a request with headers, given as names and values in turn.
func asking(t *testing.T, c http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res := httptest.NewRecorder()
	c.ServeHTTP(res, req)
	return res
}

// What the API refuses is told in the frame of the page, with its status. It is nobody's fault
// here, so nothing is logged.
func TestPageOfAProblem(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 403, 404, 429, 500, 503} {
		c, logs := answering(t, refusing(status, "It was <b>refused</b>."))
		res := asking(t, c, http.MethodGet, "/")
		require.Equal(t, status, res.Code)
		require.Equal(t, "7", res.Header().Get("Retry-After"))
		require.Contains(t, res.Body.String(), "It was &lt;b&gt;refused&lt;/b&gt;.")
		require.Contains(t, res.Body.String(), `aria-current="page">Now<`)
		require.Equal(t, status == 503, strings.Contains(res.Body.String(), "data-live"), "only what passes by itself is asked for again")
		require.Zero(t, logs.Len())
	}
}

// A fault of the bridge is found in its log by the request that the page names.
func TestPageOfAFault(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = fmt.Fprint(w, `{"status":500,"title":"Internal Server Error","request_id":"ABC"}`)
	})
	require.Contains(t, asking(t, c, http.MethodGet, "/").Body.String(), "its log says why, at request ABC.")
}

// Who is not known is led to the sign-in, and from there back. The browser forgets a token that
// is none.
func TestWithoutAToken(t *testing.T) {
	t.Parallel()
	c := New(refusing(http.StatusUnauthorized, ""), zap.NewNop())
	res := asking(t, c, http.MethodGet, "/?q=a%26b", "Cookie", cookieName+"=gone-0123456789abc")
	require.Equal(t, http.StatusSeeOther, res.Code)
	require.Equal(t, "/sign-in?next=%2F%3Fq%3Da%2526b", res.Header().Get("Location"))
	require.Contains(t, res.Header().Get("Set-Cookie"), cookieName+"=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")

	res = asking(t, c, http.MethodGet, "/?q="+strings.Repeat("a", maxNext))
	require.Equal(t, "/sign-in?next=%2F", res.Header().Get("Location"), "a path that is too long for a header is not kept")
	require.Empty(t, res.Header().Get("Set-Cookie"))
}

// An answer that no page can be made of is a fault of ours: it is logged once, and its text is
// not shown.
func TestFaultsAreLoggedOnce(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "secret") },
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			for block := strings.Repeat(" ", maxAnswer/4); ; {
				if _, err := fmt.Fprint(w, block); err != nil {
					return
				}
			}
		},
	} {
		c, logs := answering(t, answer)
		res := asking(t, c, http.MethodGet, "/")
		require.Equal(t, http.StatusInternalServerError, res.Code, name)
		require.Contains(t, res.Body.String(), "the log of the bridge says why")
		require.NotContains(t, res.Body.String(), "secret")
		require.Equal(t, 1, logs.Len(), name)
	}
}

// A page that a template cannot make is answered with 500, and nothing of it is sent.
func TestTemplateThatFails(t *testing.T) {
	t.Parallel()
	c, logs := answering(t, nil)
	res := httptest.NewRecorder()
	v := c.visit(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	c.render(res, v, page{template: "now", title: "Now"}, struct{}{})
	require.Equal(t, http.StatusInternalServerError, res.Code)
	require.Equal(t, "The page could not be made: the log of the bridge says why.\n", res.Body.String())
	require.Equal(t, 1, logs.Len())
}

// A browser that leaves is no fault.
func TestVisitorWhoLeaves(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c, logs := answering(t, func(http.ResponseWriter, *http.Request) { cancel() })
	res := httptest.NewRecorder()
	c.ServeHTTP(res, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
	require.Empty(t, res.Body.String())
	require.Zero(t, logs.Len())
}

// Every answer says what a browser must heed.
func TestEveryAnswerIsSecured(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, refusing(http.StatusServiceUnavailable, ""))
	for path, want := range map[string]int{
		"GET /": 503, "HEAD /": 503, "GET /sign-in": 200, "HEAD /sign-in": 200, "POST /sign-out": 303, "GET /no/such": 404, "POST /no/such": 405, "GET /%2e%2e/x": 404, "GET //x": 307,
		"GET " + asset("app.css"): 200, "GET /static/app.css": 200, "GET /static/none.js": 404, "GET /static/": 404, "GET /static/%2e": 404, "GET /static/..%2fconsole.go": 404, "GET /static": 404,
	} {
		method, path, _ := strings.Cut(path, " ")
		res := asking(t, c, method, path)
		require.Equal(t, want, res.Code, path)
		h := res.Header()
		require.Equal(t, policy, h.Get("Content-Security-Policy"), path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Referrer-Policy"), path)
		require.Equal(t, "same-origin", h.Get("Cross-Origin-Opener-Policy"), path)
		switch cached := h.Get("Cache-Control"); {
		case strings.HasPrefix(path, asset("app.css")):
			require.Equal(t, "public, max-age=31536000, immutable", cached)
		case path == "/static/app.css":
			require.Equal(t, "no-cache", cached)
		default:
			require.Equal(t, "no-store", cached, path)
		}
	}
	require.NotContains(t, policy, "unsafe")
}

// No page of another site has a page made: its link opens a page that asks once more.
func TestArrivingFromAnotherSite(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, func(http.ResponseWriter, *http.Request) { t.Error("the API was asked") })
	for _, site := range []string{"cross-site", "same-site"} {
		res := asking(t, c, http.MethodGet, `/predictions/a"b?x=1&y='`, "Sec-Fetch-Site", site, "Cookie", cookieName+"=x")
		require.Equal(t, http.StatusOK, res.Code)
		require.Contains(t, res.Body.String(), `<meta http-equiv="refresh" content="0">`)
		require.Contains(t, html.UnescapeString(res.Body.String()), `<a href="/predictions/a%22b?x=1&y=%27">`)
		require.Empty(t, res.Header().Get("Set-Cookie"))
	}
}

// Of a request that carries no form nothing is read, and of a form not more than its limit.
func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	c := New(refusing(http.StatusUnauthorized, ""), zap.NewNop())
	for _, request := range []struct {
		method string
		path   string
		read   int64
	}{{http.MethodGet, "/sign-in", 0}, {http.MethodPost, "/sign-in", maxForm + 1<<10}, {http.MethodPost, "/sign-out", 0}} {
		body := &oversized{}
		req := httptest.NewRequestWithContext(t.Context(), request.method, request.path, body)
		req.Header.Set("Content-Type", "multipart/form-data; boundary=x")
		c.ServeHTTP(httptest.NewRecorder(), req)
		require.LessOrEqual(t, body.read, request.read, request.path)
	}
}

// oversized is a body of one file that is far too long.
type oversized struct{ read int64 }

func (e *oversized) Read(p []byte) (int, error) {
	if e.read > 8*maxForm {
		return 0, io.EOF
	}
	n := copy(p, strings.Repeat("a", len(p)))
	if e.read == 0 {
		n = copy(p, "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n")
	}
	e.read += int64(n)
	return n, nil
}
