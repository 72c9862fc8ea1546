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
	current *http.Transport
	began   time.Time
}

// New makes a transport of base, which it owns from then on and whose IdleConnTimeout
// should be set: it closes HTTP/2 connections that were in use when they became too old. An
// age of zero is [DefaultAge].
func New(base *http.Transport, age time.Duration) *Transport {
	if age == 0 {
		age = DefaultAge
	}
	return &Transport{age: age, now: time.Now, current: base, began: time.Now()}
}

// RoundTrip sends one request, see [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	pool := t.pool()
	resp, err := pool.RoundTrip(req)
	if err != nil && blames(req.Context(), err) || err == nil && resp.StatusCode >= http.StatusInternalServerError {
		t.retire(pool)
	}
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

// pool returns the connections that a request which begins now may use.
func (t *Transport) pool() *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Sub(t.began) >= t.age {
		t.renew()
	}
	return t.current
}

// retire has no other request use the connections of pool. Many requests that fail
// together retire it once.
func (t *Transport) retire(pool *http.Transport) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current == pool {
		t.renew()
	}
}

// renew is called with t.mu held.
func (t *Transport) renew() {
	old := t.current
	t.current, t.began = old.Clone(), t.now()
	// From now on old also closes each connection whose request ends.
	old.CloseIdleConnections()
}
