package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/fakeget3w"
)

const (
	// providerKey is what the provider's API asks for.
	providerKey = "demo-key-of-no-worth-0123456789"
	keyEnv      = "GET3W_API_KEY"
	// lostTakes is how long each prediction takes whose webhook is lost.
	lostTakes = 200 * time.Millisecond
)

// fate is what becomes of an output at the provider.
type fate int

const (
	kept fate = iota
	late      // answered 503 once, then served
	gone      // answered 410
)

type output struct {
	name string
	size int
	fate fate
	body []byte // nil: noise
}

// content is what the output holds: what is known of it, or noise, but for one name
// always the same.
func (o output) content() []byte {
	if o.body != nil {
		return o.body
	}
	data := make([]byte, o.size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(o.name))).Read(data) // never fails
	return data
}

// provider is the file server that outputs are downloaded from, and an API that runs
// predictions and loses their webhooks.
type provider struct {
	base    string // where it listens
	api     *fakeget3w.Provider
	outputs sync.Map // by name
	asked   sync.Map // names of late outputs that were asked for
}

func newProvider() *provider {
	return &provider{api: rig.Must(fakeget3w.New(fakeget3w.Config{
		Key: []byte(providerKey), Secret: []byte(rig.Secret), Rules: []fakeget3w.Rule{{Duration: lostTakes, DropEvery: 1}},
	}))}
}

// serve makes the outputs of the plan available.
func (s *provider) serve(p *plan) {
	for _, pred := range p.predictions {
		for _, o := range pred.outputs {
			s.outputs.Store(o.name, o)
		}
	}
}

// ask makes one request of the API, and returns the answer.
func (s *provider) ask(ctx context.Context, method, address string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+providerKey)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w
}

func (s *provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.api.Handler())
	mux.HandleFunc("GET /files/{name}", func(w http.ResponseWriter, r *http.Request) {
		found, known := s.outputs.Load(r.PathValue("name"))
		o, _ := found.(output)
		again := true
		if o.fate == late {
			_, again = s.asked.LoadOrStore(o.name, true)
		}
		switch {
		case !known:
			http.NotFound(w, r)
		case o.fate == gone:
			http.Error(w, "gone", http.StatusGone)
		case !again:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "try again in a second", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", map[string]string{".mp4": "video/mp4", ".png": "image/png"}[path.Ext(o.name)])
			w.Header().Set("Content-Length", strconv.Itoa(o.size))
			_, _ = w.Write(o.content()) // a cut download is the archive's to notice
		}
	})
	return mux
}
