// Package headers bounds the memory of unfinished request headers of all connections together:
// net/http bounds only that of each connection.
package headers

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	// MaxBytes bounds a request header on any listener of the bridge.
	MaxBytes = 64 << 10
	// Free is how much of a header is not counted, in bytes: honest webhooks have less, and
	// net/http reads that much into one buffer anyway.
	Free = 4 << 10
	// step is the granularity in which further bytes are taken from the budget.
	step = 4 << 10
)

// Budget is the memory for unfinished headers. When it is used up, the connection whose header
// has been arriving for longest is closed: honest senders are quick. It is safe for concurrent
// use; its zero value has no room, see [NewBudget].
type Budget struct {
	max     int64
	evicted func()

	mu      sync.Mutex
	used    int64
	holders list.List // of *Account, the longest-arriving header first
}

// NewBudget returns a budget of limit bytes. It calls evicted for each connection that it
// closes; evicted must not block.
func NewBudget(limit int64, evicted func()) *Budget { return &Budget{max: limit, evicted: evicted} }

// Used returns how many bytes are taken.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// Account counts the header that arrives on one connection. Over HTTP/2 it counts all bytes
// since the last progress of the connection: the begin of a request, or a read of a body.
type Account struct {
	budget *Budget
	close  func() error

	read atomic.Int64 // bytes of the header so far
	paid atomic.Int64 // how many may arrive before more must be taken
	body atomic.Bool  // HTTP/1: the following bytes are no header
	busy atomic.Int64 // requests for which the connection must stay open

	// held, gone and place are guarded by budget.mu; place is in holders while held is over
	// zero.
	held  int64
	place *list.Element
	gone  bool
}

// Open begins to count for a connection. closeConn closes the connection and must not block.
func (b *Budget) Open(closeConn func() error) *Account {
	a := &Account{budget: b, close: closeConn}
	a.paid.Store(Free)
	return a
}

// Came counts n bytes read from the connection.
func (a *Account) Came(n int) {
	if n <= 0 || a.body.Load() {
		return
	}
	if total := a.read.Add(int64(n)); total > a.paid.Load() {
		a.take(total)
	}
}

// Begin notes that the handler of r runs, so its header is complete: the account gives back all
// that it has taken. Over HTTP/1 it takes no more until the connection is idle again, so that
// the connection cannot be closed for its header while r is answered.
//
// Begin returns by how much the header is over [Free], which the caller counts from now on. It
// measures the header itself: the bytes that were read include a TLS handshake, and the part of
// the body that came with the header.
func (a *Account) Begin(r *http.Request) (over int64) {
	if r.ProtoMajor == 1 {
		a.body.Store(true)
	}
	a.read.Store(0)
	a.giveBack()
	return max(0, size(r)-Free)
}

// size is the length of a header's strings in bytes: at most what came over HTTP/1, or what
// HTTP/2 counts.
func size(r *http.Request) int64 {
	n := len(r.Method) + len(r.RequestURI)
	if r.URL.Host == "" { // otherwise RequestURI holds the host
		n += len(r.Host)
	}
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value)
		}
	}
	for name := range r.Trailer {
		n += len(name)
	}
	return int64(n)
}

// Progress notes that a part of a body was read.
func (a *Account) Progress() {
	if !a.body.Load() && a.read.Swap(0) > Free {
		a.giveBack()
	}
}

// Work forbids closing the connection, until [Account.Rest].
func (a *Account) Work() { a.busy.Add(1) }

// Rest ends one [Account.Work].
func (a *Account) Rest() { a.busy.Add(-1) }

// Closed ends the account.
func (a *Account) Closed() {
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.gone = true
	a.budget.release(a)
}

func (a *Account) idle() {
	a.body.Store(false)
	a.read.Store(0)
	a.giveBack()
}

func (a *Account) giveBack() {
	if a.paid.Load() == Free {
		return
	}
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	a.budget.release(a)
}

func (b *Budget) release(a *Account) {
	b.used -= a.held
	a.held = 0
	a.paid.Store(Free)
	if a.place != nil {
		b.holders.Remove(a.place)
		a.place = nil
	}
}

// take makes room for a header of which total bytes have come, or closes the connection.
func (a *Account) take(total int64) {
	b := a.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	more := (total - Free - a.held + step - 1) / step * step
	if a.gone || more <= 0 {
		return
	}
	for b.used+more > b.max {
		victim := b.oldest()
		if victim == nil {
			victim = a
		}
		b.evict(victim)
		if victim == a {
			return
		}
	}
	if a.place == nil {
		a.place = b.holders.PushBack(a)
	}
	b.used += more
	a.held += more
	a.paid.Store(Free + a.held)
}

// oldest returns the account to close, nil if none may be closed.
func (b *Budget) oldest() *Account {
	for e := b.holders.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*Account); a.busy.Load() == 0 {
			return a
		}
	}
	return nil
}

func (b *Budget) evict(a *Account) {
	a.gone = true
	b.release(a)
	_ = a.close() // its reader gets an error of its own
	b.evicted()
}

type holder interface{ Headers() *Account }

// accountOf returns the account of a server's connection, also under TLS; nil unless the
// connection is of [Budget.Listener] or has a method Headers.
func accountOf(conn net.Conn) *Account {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	if has, ok := conn.(holder); ok {
		return has.Headers()
	}
	return nil
}

// ConnState is for [http.Server]. The server's handler must call [Account.Begin] for each
// request, as [Handler] does.
func ConnState(conn net.Conn, state http.ConnState) {
	if state != http.StateIdle {
		return
	}
	if account := accountOf(conn); account != nil {
		account.idle()
	}
}

type accountKey struct{}

// ConnContext is for [http.Server], together with [Handler].
func ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, accountKey{}, accountOf(conn))
}

// Handler calls [Account.Begin] for each request, and then next. It is for servers with
// [ConnContext] that speak HTTP/1 only: over HTTP/2 a connection must also call [Account.Work].
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if account, _ := r.Context().Value(accountKey{}).(*Account); account != nil {
			account.Begin(r)
		}
		next.ServeHTTP(w, r)
	})
}

// Listener gives each connection of l an account.
func (b *Budget) Listener(l net.Listener) net.Listener { return &listener{l, b} }

type listener struct {
	net.Listener
	budget *Budget
}

func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &counted{conn, l.budget.Open(conn.Close)}, nil
}

type counted struct {
	net.Conn
	account *Account
}

func (c *counted) Headers() *Account { return c.account }

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.account.Came(n)
	return n, err
}

func (c *counted) Close() error {
	c.account.Closed()
	return c.Conn.Close()
}
