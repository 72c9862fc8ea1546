package main

import (
	"bytes"
	"crypto/sha256"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge/fakeget3w"
	"github.com/hookspan/hookspan/cmd/internal/rig"
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
	base string // where it listens
	api  *fakeget3w.Provider

	// mu guards the rest.
	mu      sync.Mutex
	outputs map[string]output // by name
	late    map[string]bool   // those that were answered 503 once
}

func newProvider() *provider {
	api := rig.Must(fakeget3w.New(fakeget3w.Config{
		Key: []byte(providerKey), Secret: []byte(rig.Secret), Rules: []fakeget3w.Rule{{Duration: lostTakes, DropEvery: 1}},
	}))
	return &provider{api: api, outputs: map[string]output{}, late: map[string]bool{}}
}

// serve makes the outputs of the plan available.
func (s *provider) serve(p *plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, pred := range p.predictions {
		for _, o := range pred.outputs {
			s.outputs[o.name] = o
		}
	}
}

// wasLate reports whether the output was asked for in vain at first.
func (s *provider) wasLate(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.late[name]
}

// ask makes one request of the API, and returns the answer.
func (s *provider) ask(method, address string, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, address, bytes.NewReader(body))
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
		name := r.PathValue("name")
		s.mu.Lock()
		o, known := s.outputs[name]
		early := o.fate == late && !s.late[name]
		s.late[name] = s.late[name] || early
		s.mu.Unlock()
		switch {
		case !known:
			http.NotFound(w, r)
		case o.fate == gone:
			http.Error(w, "gone", http.StatusGone)
		case early:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "try again in a second", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", map[string]string{".mp4": "video/mp4", ".png": "image/png"}[path.Ext(name)])
			w.Header().Set("Content-Length", strconv.Itoa(o.size))
			_, _ = w.Write(o.content()) // a cut download is the archive's to notice
		}
	})
	return mux
}
