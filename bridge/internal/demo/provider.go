package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"

	"github.com/hookspan/hookspan/internal/fakeget3w"
)

// provider is the file server that outputs are downloaded from, and an API that runs
// predictions and loses their webhooks.
type provider struct {
	base   string // of the files
	apiURL string
	api    *fakeget3w.Provider
	key    string // that the API asks for
	server *http.Server
	ended  chan struct{}

	// mu guards the rest.
	mu      sync.Mutex
	outputs map[string]output // by name
	late    map[string]bool   // those that were answered 503 once
}

func startProvider(ctx context.Context, secret, key string) (*provider, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the provider: %w", err)
	}
	s, err := newProvider(secret, key)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	at := "http://" + listener.Addr().String()
	s.base, s.apiURL = at+"/files/", at+"/api/v3"
	s.server = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second}
	s.ended = make(chan struct{})
	go func() {
		defer close(s.ended)
		_ = s.server.Serve(listener) // without it no output arrives, which is counted
	}()
	return s, nil
}

func newProvider(secret, key string) (*provider, error) {
	api, err := fakeget3w.New(fakeget3w.Config{
		Key: []byte(key), Secret: []byte(secret), Rules: []fakeget3w.Rule{{Duration: lostTakes, DropEvery: 1}},
	})
	if err != nil {
		return nil, err
	}
	return &provider{api: api, key: key, outputs: map[string]output{}, late: map[string]bool{}}, nil
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

func (s *provider) close() {
	s.api.Close()
	_ = s.server.Close() // only closes
	<-s.ended
}

func (s *provider) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /files/{name}", func(w http.ResponseWriter, r *http.Request) {
		o, status := s.find(r.PathValue("name"))
		switch status {
		case http.StatusOK:
			w.Header().Set("Content-Type", contentType(o.name))
			w.Header().Set("Content-Length", strconv.Itoa(o.size))
			_, _ = w.Write(o.content()) // a cut download is the archive's to notice
		case http.StatusServiceUnavailable:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "try again in a second", status)
		default:
			http.Error(w, "gone", status)
		}
	})
	mux.Handle("/", s.api.Handler())
	return mux
}

// find says how a request for the output is answered.
func (s *provider) find(name string) (output, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.outputs[name]
	switch {
	case !ok:
		return o, http.StatusNotFound
	case o.fate == gone:
		return o, http.StatusGone
	case o.fate == late && !s.late[name]:
		s.late[name] = true
		return o, http.StatusServiceUnavailable
	}
	return o, http.StatusOK
}

func contentType(name string) string {
	if path.Ext(name) == ".mp4" {
		return "video/mp4"
	}
	return "image/png"
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
