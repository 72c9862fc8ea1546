package console

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// Nobody is sent to another site after signing in.
func TestNextPath(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                 "/",
		"/":                                "/",
		"/predictions?q=a%26b&cursor=%2F":  "/predictions?q=a%26b&cursor=%2F",
		"/predictions/get3w/a%2Fb":         "/predictions/get3w/a%2Fb",
		"/a#b":                             "/a",
		"predictions":                      "/",
		"?q=a":                             "/",
		"//example.invalid":                "/",
		"///example.invalid":               "/",
		`/\example.invalid`:                "/",
		`\\example.invalid`:                "/",
		"/\t/example.invalid":              "/",
		"\n//example.invalid":              "/",
		" //example.invalid":               "/",
		"http://example.invalid/":          "/",
		"http:example.invalid":             "/",
		"javascript:alert(1)":              "/",
		"/%zz":                             "/",
		"/" + strings.Repeat("a", maxNext): "/",
	} {
		require.Equal(t, want, nextPath(text), "%q", text)
	}
}

func FuzzNextPath(f *testing.F) {
	for _, text := range []string{"/a?b=c", "//x", `/\x`, "/%2f/x", "/./x", "/..//x", "/a//b", "/?//x", "/;x@y:80"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := nextPath(text)
		require.True(t, strings.HasPrefix(got, "/"), "%q", got)
		require.False(t, strings.HasPrefix(got, "//"), "%q", got)
		// Browsers drop tabs and line breaks, and take a backslash for a slash.
		require.False(t, strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }), "%q", got)
		base := &url.URL{Scheme: "http", Host: "console", Path: "/sign-in"}
		u, err := base.Parse(got)
		require.NoError(t, err)
		require.Equal(t, "console", u.Host)
		require.Equal(t, got, nextPath(got), "it is the same once more")
	})
}

// The cookie of somebody who came by HTTPS is sent by HTTPS only, also when a proxy ends it.
func TestCookieOfHTTPS(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, nil)
	for origin, secure := range map[string]bool{"https://ops.example.com": true, "http://127.0.0.1:8081": false} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sign-in", strings.NewReader("token=a-token-0123456789&next=%2Fdead"))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin)
		res := httptest.NewRecorder()
		c.ServeHTTP(res, req)
		require.Equal(t, http.StatusSeeOther, res.Code)
		require.Equal(t, "/dead", res.Header().Get("Location"))
		cookies := res.Result().Cookies()
		require.Len(t, cookies, 1)
		require.Equal(t, secure, cookies[0].Secure)
		require.Equal(t, signedIn, cookies[0].MaxAge)
	}
}

// Every token that the API takes survives the way through a cookie; a header goes before it.
func TestTokenOfARequest(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"a-token-0123456789", `!"#$%&'()*+,-./:;<=>?@[\]^_{|}~`, strings.Repeat(`"`, 512)} {
		res := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		setToken(res, req, token, signedIn)
		req.AddCookie(res.Result().Cookies()[0])
		require.Equal(t, token, tokenOf(req))
		req.Header.Set("Authorization", "Basic dXNlcjpwYXNzd29yZA==")
		require.Equal(t, token, tokenOf(req), "a proxy's own password is none of our tokens")
		req.Header.Set("Authorization", "bearer other")
		require.Equal(t, "other", tokenOf(req))
	}
}

// Too many wrong tokens are answered as the API answers them.
func TestTooManyTokens(t *testing.T) {
	t.Parallel()
	c := New(refusing(http.StatusTooManyRequests, "Too many wrong tokens."), zap.NewNop())
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/sign-in", strings.NewReader("token=a-token-0123456789&next=%2Fdead"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res := httptest.NewRecorder()
	c.ServeHTTP(res, req)
	require.Equal(t, http.StatusTooManyRequests, res.Code)
	require.Equal(t, "7", res.Header().Get("Retry-After"))
	require.Contains(t, res.Body.String(), "Too many wrong tokens.")
	require.Contains(t, res.Body.String(), `name="next" value="/dead"`, "the way on is not lost")
	require.NotContains(t, res.Body.String(), "a-token")
}
