package console

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// archived is an API that has one output at every path, for the token "secret".
type archived struct {
	mu          sync.Mutex
	contentType string
	text        []byte
	tag         string
	problem     int
	asked       []string
	// during is called in each GET before the output is sent.
	during func()
	// cut is how many bytes are sent, 0 for all.
	cut int
}

func (a *archived) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	o := struct {
		contentType, tag string
		text             []byte
		problem, cut     int
	}{a.contentType, a.tag, a.text, a.problem, a.cut}
	a.asked = append(a.asked, r.Method+" "+r.URL.EscapedPath())
	a.mu.Unlock()
	if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		panic(err)
	}
	if r.Header.Get("Authorization") != "Bearer secret" {
		o.problem = http.StatusForbidden
	}
	if o.problem != 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(o.problem)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": o.problem, "title": http.StatusText(o.problem), "detail": "why it is so"})
		return
	}
	if a.during != nil && r.Method == http.MethodGet {
		a.during()
	}
	w.Header().Set("Content-Type", o.contentType)
	w.Header().Set("ETag", o.tag)
	w.Header().Set("Content-Security-Policy", "sandbox; default-src 'none'")
	w.Header().Set("Cache-Control", "private, no-cache")
	if o.cut > 0 && r.Method == http.MethodGet {
		_, _ = w.Write(o.text[:o.cut])
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(o.text)))
}

func (a *archived) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *archived) count(method string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, call := range a.asked {
		if strings.HasPrefix(call, method+" ") {
			n++
		}
	}
	return n
}

func newArchived(contentType string, text []byte) (*archived, *Console) {
	a := &archived{contentType: contentType, text: text, tag: `"` + strings.Repeat("ab", 32) + `"`}
	return a, New(a, zap.NewNop())
}

func visitWith(t *testing.T, c *Console, method, path string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	r.Header.Set("Cookie", cookieName+"=secret")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w
}

func TestFileIsPassedOn(t *testing.T) {
	a, c := newArchived("video/mp4", []byte("0123456789"))
	id := "a/b c%2e"
	path := string(filePath("get3w", id, 3))
	got := visitWith(t, c, http.MethodGet, path, map[string]string{"Range": "bytes=2-4"})
	require.Equal(t, 206, got.Code)
	require.Equal(t, "234", got.Body.String())
	for name, value := range map[string]string{
		"Content-Range": "bytes 2-4/10", "Content-Type": "video/mp4", "Content-Length": "3", "Content-Security-Policy": "sandbox; default-src 'none'",
		"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-cache", "ETag": a.tag,
	} {
		require.Equal(t, []string{value}, got.Header().Values(name), name)
	}
	require.Equal(t, []string{"GET /api/v1/predictions/get3w/a%2Fb%20c%252e/outputs/3"}, a.asked)
	got = visitWith(t, c, http.MethodHead, path, nil)
	require.Equal(t, []any{200, "10", ""}, []any{got.Code, got.Header().Get("Content-Length"), got.Body.String()})
	require.Equal(t, 304, visitWith(t, c, http.MethodGet, path, map[string]string{"If-None-Match": a.tag}).Code)
	require.Equal(t, 200, visitWith(t, c, http.MethodGet, path, map[string]string{"Range": "bytes=2-4", "If-Range": `"other"`}).Code)
	require.Equal(t, 405, visitWith(t, c, http.MethodPost, path, nil).Code)
}

// A browser takes an id of dots for steps in a path.
func TestFilesOfAnIdOfDots(t *testing.T) {
	a, c := newArchived("text/plain", []byte("0123456789"))
	for _, id := range []string{".", "..", "..."} {
		a.asked = nil
		require.Equal(t, "/files/get3w?id="+id+"&n=3", string(filePath("get3w", id, 3)))
		got := visitWith(t, c, http.MethodGet, string(filePath("get3w", id, 3)), nil)
		require.Equal(t, []any{200, "0123456789"}, []any{got.Code, got.Body.String()}, id)
		require.Equal(t, []string{"GET /api/v1/predictions/get3w/" + strings.ReplaceAll(id, ".", "%2E") + "/outputs/3"}, a.asked)
		require.Equal(t, 200, visitWith(t, c, http.MethodGet, string(thumbPath("get3w", id, 3)), nil).Code)
	}
}

// The description of the API comes by the cookie of a signed-in browser.
func TestTheDescriptionOfTheAPI(t *testing.T) {
	t.Parallel()
	c := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/") || r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write([]byte(r.URL.Path))
	}), zap.NewNop())
	for _, path := range []string{"/openapi.yaml", "/asyncapi.yaml", "/schemas/archived.json"} {
		got := visitWith(t, c, http.MethodGet, path, nil)
		require.Equal(t, []any{200, "/api" + path, "application/yaml"}, []any{got.Code, got.Body.String(), got.Header().Get("Content-Type")})
	}
	got := visitWith(t, c, http.MethodGet, "/openapi.yaml", map[string]string{"Cookie": ""})
	require.Equal(t, http.StatusSeeOther, got.Code)
	require.Equal(t, "/sign-in?next=%2Fopenapi.yaml", got.Header().Get("Location"))
}

// What the API refuses is a page that says why.
func TestFileThatIsNotThere(t *testing.T) {
	a, c := newArchived("image/png", []byte("secret pixels"))
	for _, status := range []int{400, 403, 404, 503} {
		a.problem = status
		got := visitWith(t, c, http.MethodGet, "/files/get3w/p/0", nil)
		require.Equal(t, status, got.Code)
		require.Equal(t, "text/html; charset=utf-8", got.Header().Get("Content-Type"))
		require.Contains(t, got.Body.String(), "why it is so")
		require.Equal(t, "no-store", got.Header().Get("Cache-Control"))
	}
	a.problem = 401
	require.Equal(t, "/sign-in?next=%2Ffiles%2Fget3w%2Fp%2F0", visitWith(t, c, http.MethodGet, "/files/get3w/p/0", nil).Header().Get("Location"))
	a.problem = 0
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/files/get3w/p/0", nil)
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	require.Equal(t, 403, w.Code, "without a token")
	require.NotContains(t, w.Body.String(), "pixels")
}

// No path leads elsewhere than to the outputs of one prediction.
func TestFilePathsLeadNowhereElse(t *testing.T) {
	a, c := newArchived("image/png", []byte("x"))
	for _, path := range []string{
		"/files/get3w/../../etc/passwd", "/files/get3w/%2e%2e/%2e%2e/etc/passwd", "/files/get3w/..%2f..%2fme/0", "/files/../me/0", "/files/get3w/p/..%2f..%2f..%2fme",
		"/files/%2e%2e/%2e%2e/me", "/files/get3w/p/0%3ftoken=a", "/thumbs/get3w/..%2F..%2F..%2Fme/0", "/files/get3w/p%00/0", "/files/get3w/p/0/../../../me",
	} {
		visitWith(t, c, http.MethodGet, path, nil)
	}
	for _, call := range a.asked {
		require.Regexp(t, `^(GET|HEAD) /api/v1/(me|predictions/[^/]+/[^/]+/outputs/[^/]+)$`, call)
		require.NotContains(t, call, "?")
	}
}

// A browser that does not read holds its connection for as long as the API lets it.
func TestFilesHaveTheDeadlinesOfTheAPI(t *testing.T) {
	ended := make(chan error, 1)
	api := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			ended <- err
			return
		}
		block := make([]byte, 1<<20)
		for {
			if _, err := w.Write(block); err != nil {
				ended <- err
				return
			}
		}
	})
	s := httptest.NewServer(New(api, zap.NewNop()))
	defer s.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/files/get3w/p/0", nil)
	require.NoError(t, err)
	res, err := s.Client().Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.ErrorContains(t, <-ended, "timeout")
}

func thumbOf(t *testing.T, c *Console, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	return visitWith(t, c, http.MethodGet, string(thumbPath("get3w", "p", 0)), header)
}

func decoded64(t *testing.T, text string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return data
}
