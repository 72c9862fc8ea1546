// Package freshconn limits the age of an HTTP client's connections.
//
// net/http keeps a connection as long as it is used, so a client never reaches the new address
// of a service while the old instance lives (golang/go#23427).
package freshconn

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultAge is how long connections serve new requests: about as long as names are usually
// cached.
const DefaultAge = time.Minute

// Transport is an [http.RoundTripper] that switches to new connections when its connections are
// older than an age, and after a failed request: one without an answer, also within its
// deadline, or one answered 5xx. A request that its caller cancels, and one for which no
// connection could be made, do not count as failed. Requests in flight keep their connection,
// which is closed afterwards. It is safe for concurrent use. The zero value is not usable, see
// [New].
type Transport struct {
	age time.Duration
	// now is the clock; tests replace it.
	now func() time.Time

	mu      sync.Mutex
	current *pool
	began   time.Time
}

// pool are connections that are used together. [Transport.mu] guards its counts.
type pool struct {
	*http.Transport

	asking  int // requests without an answer yet
	retired bool
}

// New makes a transport of base, which it owns from then on. base.IdleConnTimeout should be
// set: it closes HTTP/2 connections that were in use when they became too old. An age of zero
// is [DefaultAge].
func New(base *http.Transport, age time.Duration) *Transport {
	if age == 0 {
		age = DefaultAge
	}
	return &Transport{age: age, now: time.Now, current: &pool{Transport: base}, began: time.Now()}
}

// RoundTrip sends one request, see [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	p := t.begin()
	resp, err := p.RoundTrip(req)
	t.end(p, err != nil && blames(req.Context(), err) || err == nil && resp.StatusCode >= http.StatusInternalServerError)
	return resp, err
}

// blames reports whether the error of a request with ctx may be the fault of its connection:
// not if the caller cancelled the request without another cause, nor if no connection was made,
// which a dialer may also refuse.
func blames(ctx context.Context, err error) bool {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return false
	}
	op, ok := errors.AsType[*net.OpError](err)
	return !ok || op.Op != "dial"
}

// CloseIdleConnections closes unused connections.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current.CloseIdleConnections()
}

func (t *Transport) begin() *pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Sub(t.began) >= t.age {
		t.renew()
	}
	t.current.asking++
	return t.current
}

// end ends a request. If it failed, no other request uses the connections of p any more; many
// failures together retire p once.
func (t *Transport) end(p *pool, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.asking--
	if failed && t.current == p {
		t.renew()
	}
	p.closeIfUnused()
}

// renew replaces the pool. The caller holds t.mu.
func (t *Transport) renew() {
	old := t.current
	t.current, t.began = &pool{Transport: old.Clone()}, t.now()
	old.retired = true
	old.closeIfUnused()
}

// closeIfUnused closes the connections of a retired pool without requests, and from then on
// each one whose answer has been read. Earlier, it would break requests that are just being
// given a connection ("CloseIdleConnections called", Go 1.26). The caller holds [Transport.mu].
func (p *pool) closeIfUnused() {
	if p.retired && p.asking == 0 {
		p.CloseIdleConnections()
	}
}
