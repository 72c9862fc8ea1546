package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// frontDoor is what a service of Kubernetes is to two ingress processes: it sends each request to
// the next one whose /readyz was 200 at the last look, and no request twice.
type frontDoor struct {
	mu       sync.Mutex
	backends [2]*backend
	turn     int
}

type backend struct {
	*program

	front *url.URL
	ready bool
}

const readyzEvery = 50 * time.Millisecond

// look asks each process until ctx ends.
func (s *frontDoor) look(ctx context.Context) {
	tick := time.NewTicker(readyzEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s.mu.Lock()
		backends := s.backends
		s.mu.Unlock()
		for _, b := range backends {
			res, err := http.Get(b.program.ready.Admin + "/readyz")
			if err == nil {
				_ = res.Body.Close()
			}
			s.mu.Lock()
			b.ready = err == nil && res.StatusCode == http.StatusOK
			s.mu.Unlock()
		}
	}
}

func (s *frontDoor) set(i int, p *program) {
	front, err := url.Parse(p.url())
	require.NoError(p.t, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backends[i] = &backend{program: p, front: front}
}

func (s *frontDoor) allReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backends[0].ready && s.backends[1].ready
}

func (s *frontDoor) rewrite(r *httputil.ProxyRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range s.backends {
		s.turn++
		if b := s.backends[s.turn%len(s.backends)]; b.ready {
			r.Out.URL.Scheme, r.Out.URL.Host = b.front.Scheme, b.front.Host
			return
		}
	}
}

// handledCount counts the requests that consumers make, by path and event.
type handledCount struct {
	mu    sync.Mutex
	count map[string]int
}

// ServeHTTP implements http.Handler.
func (p *handledCount) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.count[r.URL.Path+" "+r.Header.Get("ce-subject")]++
	p.mu.Unlock()
}

func (p *handledCount) of(path, prediction string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count[path+" "+prediction]
}

// Two processes of each role serve one configuration on one NATS. While each of them is restarted
// under load, one after the other, no webhook is refused, each event is handled, and none twice
// by a consumer that acts once.
func TestRollingRestartOfEveryRole(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	handled := &handledCount{count: map[string]int{}}
	target := httptest.NewServer(handled)
	t.Cleanup(target.Close)
	config := fmt.Sprintf(`
ingress: {listen: "127.0.0.1:0", shutdown_delay: 2s}
admin: {listen: "127.0.0.1:0"}
nats: {url: %q, events: {max_bytes: 64MiB}}
consumers:
  archive: {enabled: false}
  charge: {kind: forward, url: "%[2]s/charge", secret: "env:GET3W_WEBHOOK_SECRET", allow_private: true, once: true}
  note: {kind: forward, url: "%[2]s/note", secret: "env:GET3W_WEBHOOK_SECRET", allow_private: true}
`, x.URL(), target.URL)
	words := [][]string{
		{"--roles", "ingress"},
		{"--roles", "ingress"},
		{"--roles", "consumers", "--only", "charge"},
		{"--roles", "consumers", "--only", "charge,note"},
		{"--roles", "reconciler"},
		{"--roles", "reconciler"},
		{"--roles", "admin"},
		{"--roles", "admin"},
	}
	dirs, processes := make([]string, len(words)), make([]*program, len(words))
	front := &frontDoor{}
	begin := func(i int) {
		processes[i] = start(t, dirs[i], command(t, dirs[i], append([]string{"--json", "serve", "--config", "hookspan.yaml"}, words[i]...)...))
		if i < len(front.backends) {
			front.set(i, processes[i])
		}
	}
	for i := range words {
		dirs[i] = t.TempDir()
		put(t, dirs[i], "hookspan.yaml", config)
		begin(i)
	}
	looking, endLooking := context.WithCancel(t.Context())
	var looks sync.WaitGroup
	looks.Go(func() { front.look(looking) })
	defer looks.Wait()
	defer endLooking()
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: front.rewrite, Transport: &http.Transport{}})
	defer proxy.Close()
	ready := func() { t.Helper(); require.Eventually(t, front.allReady, patience, readyzEvery) }
	ready()

	s := &steady{
		t: t, url: proxy.URL + "/webhooks/get3w", every: 30 * time.Millisecond, clients: []*http.Client{{Timeout: patience}},
		oracle: &oracle{sent: map[string]bool{}, acked: map[string]bool{}, tick: make(chan struct{}, 1<<16)},
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() { defer close(ended); s.run(end) }()
	stop := sync.OnceFunc(func() { close(end); <-ended })
	defer stop()
	for i := range words {
		for range 20 {
			<-s.tick
		}
		require.Equal(t, exitDone, processes[i].stop(), processes[i].logs)
		begin(i)
		ready()
	}
	stop()
	require.Empty(t, s.again, "no webhook is refused, and no connection reset")
	require.Len(t, s.acked, len(s.sent))
	require.Eventually(t, func() bool {
		for id := range s.acked {
			if handled.of("/charge", id) == 0 || handled.of("/note", id) == 0 {
				return false
			}
		}
		return true
	}, patience, 50*time.Millisecond)
	for id := range s.acked {
		require.Equal(t, 1, handled.of("/charge", id), id)
	}
	t.Logf("%d processes restarted under %d webhooks, longest wait %v", len(words), len(s.sent), s.longest.Round(time.Millisecond))

	// An admin process knows what others run.
	status, text := processes[6].admin("/api/v1/consumers")
	require.Equal(t, 200, status, text)
	require.NotContains(t, text, "orphaned")
	require.Contains(t, text, `"name":"note"`)
	for i := range words {
		require.Equal(t, exitDone, processes[i].stop(), processes[i].logs)
	}
}
