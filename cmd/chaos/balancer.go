package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

const (
	healthEvery   = 100 * time.Millisecond
	healthTimeout = 2 * time.Second
	// fitWait is the longest time until the balancer takes a bridge that is ready.
	fitWait = 10 * time.Second
)

// balancer is a small HTTP load balancer, as it stands before bridges: it asks each of
// them whether it takes webhooks, and goes round among those that do.
type balancer struct {
	rig      *rig.Rig
	backends []*backend
	turn     atomic.Uint64
}

type backend struct {
	addr string
	fit  atomic.Bool
}

// startBalancer serves at addr until the rig is closed.
func startBalancer(r *rig.Rig, addr string, addrs []string) *balancer {
	b := &balancer{rig: r}
	for _, addr := range addrs {
		b.backends = append(b.backends, &backend{addr: addr})
	}
	ctx, stop := context.WithCancel(r.Context())
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	var asking sync.WaitGroup
	asking.Go(func() {
		for rig.Pause(ctx, healthEvery) == nil {
			for _, end := range b.backends {
				end.check(ctx)
			}
		}
	})
	r.OnClose(func() error { stop(); asking.Wait(); transport.CloseIdleConnections(); return nil })
	r.ServeAt(rig.Must(new(net.ListenConfig).Listen(ctx, "tcp", addr)), &httputil.ReverseProxy{
		Rewrite:      func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host = "http", b.choose() },
		Transport:    transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	})
	return b
}

// choose returns the next backend that is fit, or the next one.
func (b *balancer) choose() (addr string) {
	for range b.backends {
		end := b.backends[b.turn.Add(1)%uint64(len(b.backends))]
		if addr = end.addr; end.fit.Load() {
			break
		}
	}
	return addr
}

// check asks the backend as load balancers do.
func (e *backend) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request := rig.Must(http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.addr+"/", nil))
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	e.fit.Store(err == nil && response.StatusCode == http.StatusOK)
}

// waitFit waits until all backends take webhooks.
func (b *balancer) waitFit() {
	for _, end := range b.backends {
		rig.Check(b.rig.Until("the balancer takes "+end.addr, fitWait, healthEvery, func(context.Context) bool { return end.fit.Load() }))
	}
}
