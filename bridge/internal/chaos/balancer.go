package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"sync/atomic"
	"time"
)

const (
	healthEvery   = 100 * time.Millisecond
	healthTimeout = 2 * time.Second
)

// balancer is a small HTTP load balancer, as it stands before bridges: it goes
// round, asks each backend whether it takes webhooks, and takes the next one when
// nobody listens.
type balancer struct {
	backends []*backend
	turn     atomic.Uint64
	server   *http.Server
	stop     context.CancelFunc
	done     chan struct{}
}

type backend struct {
	addr string
	fit  atomic.Bool
}

// startBalancer serves on the listener until close.
func startBalancer(ctx context.Context, listener net.Listener, addrs ...string) *balancer {
	ctx, stop := context.WithCancel(ctx)
	b := &balancer{stop: stop, done: make(chan struct{})}
	for _, addr := range addrs {
		b.backends = append(b.backends, &backend{addr: addr})
	}
	transport := &http.Transport{DialContext: b.dial, MaxIdleConnsPerHost: 256}
	b.server = &http.Server{
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		Handler: &httputil.ReverseProxy{
			Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", b.choose() },
			Transport: transport,
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
				w.WriteHeader(http.StatusBadGateway)
			},
		},
	}
	go func() {
		defer close(b.done)
		for ctx.Err() == nil {
			for _, end := range b.backends {
				end.check(ctx)
			}
			_ = pause(ctx, healthEvery) // the loop sees its end
		}
	}()
	go func() { _ = b.server.Serve(listener) }() // ends with close
	return b
}

func (b *balancer) close() error {
	b.stop()
	<-b.done
	return b.server.Close()
}

// choose returns the next backend that is fit, or the next one.
func (b *balancer) choose() string {
	turn := b.turn.Add(1)
	for i := range b.backends {
		if end := b.backends[(turn+uint64(i))%uint64(len(b.backends))]; end.fit.Load() {
			return end.addr
		}
	}
	return b.backends[turn%uint64(len(b.backends))].addr
}

// dial connects to addr, or to another backend when nobody listens there.
func (b *balancer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, addr)
	errs := []error{err}
	for _, other := range b.backends {
		if err != nil && other.addr != addr {
			conn, err = dialer.DialContext(ctx, network, other.addr)
			errs = append(errs, err)
		}
	}
	if err != nil {
		return nil, errors.Join(errs...)
	}
	return conn, nil
}

// check asks the backend as load balancers do.
func (e *backend) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.addr+"/", nil)
	if err != nil {
		e.fit.Store(false)
		return
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	e.fit.Store(err == nil && response.StatusCode == http.StatusOK)
}
