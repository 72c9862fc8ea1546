package headers

import (
	"errors"
	"net/http"
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

func TestOldestHeaderGivesWay(t *testing.T) {
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

// What was taken is given back by whatever a connection does next.
func TestWhatWasTakenIsGivenBack(t *testing.T) {
	b := NewBudget(100*step, func() {})
	c := open(b)
	for name, next := range map[string]func(){
		"a request begins": func() { require.EqualValues(t, 10*step, c.Begin()) },
		"a body is read":   c.Progress,
		"idle":             c.idle,
	} {
		c.Came(Free + 10*step)
		require.EqualValues(t, 10*step, b.Used(), name)
		next()
		require.Zero(t, b.Used(), name)
		c.idle()
	}
	require.Zero(t, c.Begin())
	c.Came(Free + 1)
	c.Closed()
	c.Closed()
	require.Zero(t, b.Used())
}

// The body of a request of HTTP/1 is not counted, and the next header is.
func TestBodiesAreNotCounted(t *testing.T) {
	b := NewBudget(100*step, func() {})
	c := &counted{account: b.Open(func() error { return nil })}
	ConnState(c, http.StateActive)
	c.account.Begin()
	c.account.Came(1 << 20)
	require.Zero(t, b.Used())
	ConnState(c, http.StateIdle)
	c.account.Came(Free + 1)
	require.EqualValues(t, step, b.Used())
}

// A connection that works is not closed for another one's header.
func TestWorkingConnectionsStay(t *testing.T) {
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
