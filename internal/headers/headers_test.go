package headers

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// connection is an account whose connection remembers that it was closed.
type connection struct {
	*Account
	closed bool
}

func open(b *Budget) *connection {
	c := &connection{}
	c.Account = b.Open(func() error { c.closed = true; return errors.New("already") })
	return c
}

// request has a header whose strings have size bytes.
func request(size int) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RequestURI += strings.Repeat("a", max(0, size-len("GET/example.com")))
	return r
}

func TestOldestHeaderGivesWay(t *testing.T) {
	t.Parallel()
	evicted := 0
	b := NewBudget(4*step, func() { evicted++ })
	small := open(b)
	small.Came(Free)
	require.Zero(t, b.Used(), "a small header takes nothing")

	first, second, third := open(b), open(b), open(b)
	first.Came(Free + 1)
	second.Came(Free + 2*step)
	require.EqualValues(t, 3*step, b.Used())
	first.Came(step)
	require.EqualValues(t, 4*step, b.Used())
	third.Came(Free + 1)
	require.True(t, first.closed, "its header has been arriving for longest")
	require.False(t, second.closed || third.closed || small.closed)
	require.EqualValues(t, 3*step, b.Used())
	first.Came(1 << 20)
	require.EqualValues(t, 3*step, b.Used(), "one that is gone takes nothing")
	third.Came(100 * step)
	require.True(t, second.closed && third.closed, "more than there is for all")
	require.Zero(t, b.Used())
	require.Equal(t, 3, evicted)
	for _, c := range []*connection{first, second, third, small} {
		c.Closed()
	}
	require.Zero(t, b.Used())
}

// A connection gives back what it took, whatever comes next.
func TestWhatWasTakenIsGivenBack(t *testing.T) {
	t.Parallel()
	b := NewBudget(100*step, func() {})
	c := open(b)
	for name, next := range map[string]func(){
		"a request begins": func() { c.Begin(request(0)) },
		"a body is read":   c.Progress,
		"idle":             c.idle,
	} {
		c.Came(Free + 10*step)
		require.EqualValues(t, 10*step, b.Used(), name)
		next()
		require.Zero(t, b.Used(), name)
		c.idle()
	}
	c.Came(Free + 1)
	c.Closed()
	c.Closed()
	require.Zero(t, b.Used())
}

// The body of an HTTP/1 request is not counted, and the next header is.
func TestBodiesAreNotCounted(t *testing.T) {
	t.Parallel()
	b := NewBudget(100*step, func() {})
	c := &counted{account: b.Open(func() error { return nil })}
	c.account.Begin(request(0))
	c.account.Came(1 << 20)
	require.Zero(t, b.Used())
	ConnState(c, http.StateIdle)
	c.account.Came(Free + 1)
	require.EqualValues(t, step, b.Used())
}

// A connection at work is not closed for another one's header.
func TestWorkingConnectionsStay(t *testing.T) {
	t.Parallel()
	b := NewBudget(step, func() {})
	works, other := open(b), open(b)
	works.Came(Free + 1)
	works.Work()
	other.Came(Free + 1)
	require.True(t, other.closed)
	require.False(t, works.closed)
	works.Rest()
	third := open(b)
	third.Came(Free + 1)
	require.True(t, works.closed)
	require.False(t, third.closed)
}

// A header's size is that of its strings, however many bytes were read with it.
func TestHeadersAreMeasuredByWhatTheySay(t *testing.T) {
	t.Parallel()
	c := open(NewBudget(100*step, func() {}))
	c.Came(10 * step)
	require.Zero(t, c.Begin(request(Free)), "the rest were a handshake and a body")
	require.EqualValues(t, 5, c.Begin(request(Free+5)))
	for name, grow := range map[string]func(*http.Request){
		"method":  func(r *http.Request) { r.Method += "abc" },
		"host":    func(r *http.Request) { r.Host += "abc" },
		"value":   func(r *http.Request) { r.Header["A"] = []string{"bc"} },
		"values":  func(r *http.Request) { r.Header["A"] = []string{"b", ""} },
		"trailer": func(r *http.Request) { r.Trailer = http.Header{"Abc": nil} },
	} {
		r := request(Free)
		grow(r)
		require.EqualValues(t, 3, c.Begin(r), name)
	}
	r := request(Free + 5)
	r.URL.Host, r.Host = r.Host, r.Host+"abc"
	require.Zero(t, c.Begin(r), "the host of a URL is in its request line")
}

// A request that is being answered holds nothing of the budget, and its connection is not
// closed for the header of another one, also not if it is the second of two that arrived
// together.
func TestRequestsThatAreAnsweredStay(t *testing.T) {
	t.Parallel()
	const requests = 3
	evicted := 0
	b := NewBudget(4*step, func() { evicted++ })
	entered, finish := make(chan struct{}), make(chan struct{})
	server := httptest.NewUnstartedServer(Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength)
		if r.URL.Path == "/wait" {
			entered <- struct{}{}
			<-finish
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})))
	server.Listener = b.Listener(server.Listener)
	server.Config.ConnState, server.Config.ConnContext = ConnState, ConnContext
	server.Start()
	defer server.Close()
	release := sync.OnceFunc(func() { close(finish) })
	defer release()
	conns := make([]net.Conn, requests)
	for i := range conns {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		defer func() { _ = conn.Close() }()
		conns[i] = conn
		text := "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: " + strings.Repeat("a", 10<<10) + "\r\n\r\n"
		if i == requests-1 {
			text = "GET /quick HTTP/1.1\r\nHost: x\r\n\r\nPOST /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 12000\r\n\r\n" + strings.Repeat("a", 12000)
		}
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		<-entered
		require.Zero(t, b.Used())
	}
	release()
	for i, conn := range conns {
		text, err := io.ReadAll(conn)
		require.NoError(t, err, "connection %d", i)
		require.Contains(t, string(text), "/wait", "connection %d", i)
	}
	require.Zero(t, evicted)
}
