package console

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// fakeAPI answers each "METHOD /path" below the API's prefix with a value, or as a handler does,
// and keeps what it was told.
type fakeAPI struct {
	answers map[string]any

	mu    sync.Mutex // pages ask several things at once
	asked []string
	told  map[string]string
}

// newFake returns pages whose API knows a caller with all scopes and what answers has.
func newFake(t *testing.T, answers map[string]any) (*Console, *fakeAPI) {
	t.Helper()
	f := &fakeAPI{answers: map[string]any{"GET /me": adminapi.Caller{Name: "anna", Scopes: adminapi.Scopes()}}, told: map[string]string{}}
	maps.Copy(f.answers, answers)
	return New(f, zap.NewNop()), f
}

func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.EscapedPath(), apiPrefix)
	route := r.Method + " " + path
	f.mu.Lock()
	f.asked = append(f.asked, r.Method+" "+strings.TrimPrefix(r.URL.String(), apiPrefix))
	f.mu.Unlock()
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.mu.Lock()
		f.told[path] += string(body)
		f.mu.Unlock()
	}
	switch answer := f.answers[route].(type) {
	case nil:
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"title":"Not Found","status":404,"detail":"There is no such thing."}`)
	case http.HandlerFunc:
		answer(w, r)
	default:
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			panic(err)
		}
	}
}

// see returns a page.
func see(t *testing.T, c http.Handler, path string) (status int, page string) {
	t.Helper()
	res := httptest.NewRecorder()
	c.ServeHTTP(res, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return res.Code, res.Body.String()
}

// submit sends a form, and returns where it leads or the page that it shows.
func submit(t *testing.T, c http.Handler, path string, form url.Values) (to, page string) {
	t.Helper()
	res := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	c.ServeHTTP(res, req)
	return res.Header().Get("Location"), res.Body.String()
}
