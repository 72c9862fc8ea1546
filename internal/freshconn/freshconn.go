// Package freshconn gives the connections of an HTTP client an age.
//
// net/http keeps a connection for as long as it is used, so a service whose name leads
// elsewhere by now is never asked at its new address while the old instance lives
// (golang/go#23427).
package freshconn

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// DefaultAge is for how long connections are used for new requests: about as long as
// names are usually cached.
const DefaultAge = time.Minute

// Transport is an [http.RoundTripper] that begins with new connections when those it has
// are older than an age, and after a request that failed: one without an answer, also
// within its deadline, or with one of 5xx. A request that its caller cancels, and one for
// which no connection could be made, do not count as failed. Requests that are under way
// keep their connection, which is closed afterwards. It is safe for concurrent use. Its
// zero value is not usable, see [New].
type Transport struct {
	age time.Duration
	// now is the clock, another one in tests.
	now func() time.Time

	mu      sync.Mutex
	current *pool
	began   time.Time
}

// pool are connections that are used together. What it counts belongs to [Transport.mu].
type pool struct {
	*http.Transport

	asking  int // requests that have no answer yet
	retired bool
}

// New makes a transport of base, which it owns from then on and whose IdleConnTimeout
// should be set: it closes HTTP/2 connections that were in use when they became too old. An
// age of zero is [DefaultAge].
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

// blames reports whether the error of a request with ctx may be the fault of its connection.
// It is not when the caller cancelled the request without another cause, nor when no
// connection was made, which a dialer may also refuse.
func blames(ctx context.Context, err error) bool {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return false
	}
	op, ok := errors.AsType[*net.OpError](err)
	return !ok || op.Op != "dial"
}

// CloseIdleConnections closes the connections that nobody uses.
func (t *Transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.current.CloseIdleConnections()
}

// begin returns the connections that a request which begins now may use.
func (t *Transport) begin() *pool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Sub(t.began) >= t.age {
		t.renew()
	}
	t.current.asking++
	return t.current
}

// end is that of a request. One that failed has no other request use the connections of p;
// many that fail together retire p once.
func (t *Transport) end(p *pool, failed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.asking--
	if failed && t.current == p {
		t.renew()
	}
	p.closeIfUnused()
}

// renew is called with t.mu held.
func (t *Transport) renew() {
	old := t.current
	t.current, t.began = &pool{Transport: old.Clone()}, t.now()
	old.retired = true
	old.closeIfUnused()
}

// closeIfUnused is called with [Transport.mu] held. It closes the connections of a pool that
// nobody asks any more, and from then on each one whose answer has been read. Earlier than
// that it would break requests that are just given a connection ("CloseIdleConnections
// called", Go 1.26).
func (p *pool) closeIfUnused() {
	if p.retired && p.asking == 0 {
		p.CloseIdleConnections()
	}
}
