package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/live"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/eventstream"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for what must come.
const patience = time.Minute

// bench is the API on a real NATS server that can go away.
type bench struct {
	*natstest.Streams

	t       *testing.T
	limits  live.Limits
	streams *live.Streams
	url     string
	stop    func()
	erased  atomic.Pointer[string] // the id of a prediction
}

func start(t *testing.T, limits live.Limits) *bench {
	t.Helper()
	x := natstest.NewExternal(t, nil)
	x.Start()
	b := &bench{Streams: x.MakeStreams(nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1)), t: t, limits: limits}
	b.serve()
	t.Cleanup(func() { b.stop() })
	return b
}

// serve starts a process: its live streams and its server.
func (b *bench) serve() {
	b.t.Helper()
	b.streams = live.New(b.JS, b.Names, func(consumer string) (bridge.Filter, bool) {
		return bridge.Filter{Statuses: []string{"failed"}, Model: "google/*"}, consumer == "billing"
	}, func(_, id string) bool { gone := b.erased.Load(); return gone != nil && *gone == id }, zap.NewNop())
	b.streams.SetLimits(b.limits)
	server, err := admin.New(admin.Config{Listen: "127.0.0.1:0"}, admin.Deps{Metrics: prometheus.NewRegistry()}, zap.NewNop())
	require.NoError(b.t, err)
	server.SetAPI(func(api *echo.Group) { admin.RegisterLive(api, b.streams) })
	b.url = "http://" + server.Addr().String() + "/api/v1"
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	b.stop = func() {
		cancel()
		require.NoError(b.t, <-done)
		b.streams.Close()
		http.DefaultClient.CloseIdleConnections()
		b.stop = func() {}
	}
}

// event is one of a prediction.
func event(id, status, model string) *bridge.Event {
	e := natstest.Event(id)
	e.Status, e.RawStatus, e.Model, e.ID = status, status, model, bridge.NewEventID(id, status, nil)
	return e
}

func (b *bench) store(e *bridge.Event) uint64 {
	b.t.Helper()
	r, err := b.Publish(context.Background(), e)
	require.NoError(b.t, err)
	return r.Sequence
}

// storeMany stores events of predictions from first to last.
func (b *bench) storeMany(first, last int) {
	b.t.Helper()
	for i := first; i <= last; i++ {
		b.store(natstest.Event(id(i)))
	}
}

func id(i int) string { return fmt.Sprintf("pred_%d", i) }

// client reads a live stream.
type client struct {
	t      *testing.T
	events chan eventstream.Event // closed at the end of the stream
	leave  context.CancelFunc
	header http.Header
	last   string // the newest id
}

func (b *bench) get(ctx context.Context, path, lastEventID string) *http.Response {
	b.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+path, nil)
	require.NoError(b.t, err)
	if lastEventID != "" {
		req.Header.Set("Last-Event-ID", lastEventID)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(b.t, err)
	return res
}

// open returns once the client has a place, unless NATS is away.
func (b *bench) open(path, lastEventID string) *client {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{t: b.t, events: make(chan eventstream.Event), leave: cancel}
	b.t.Cleanup(cancel)
	res := b.get(ctx, path, lastEventID) //nolint:bodyclose // its reader does
	require.Equal(b.t, 200, res.StatusCode)
	c.header = res.Header
	go func() {
		defer close(c.events)
		defer func() { _ = res.Body.Close() }()
		_ = eventstream.Read(res.Body, 1<<20, func() {}, func(e eventstream.Event) error {
			select {
			case c.events <- e:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	return c
}

// fresh is open for a client that begins now.
func (b *bench) fresh(path string) *client {
	b.t.Helper()
	c := b.open(path, "")
	first := c.any()
	require.Empty(b.t, first.Name)
	require.NotEmpty(b.t, first.ID, "a client that comes again before the first event misses none")
	return c
}

// any returns the next event, also one that is only an id.
func (c *client) any() eventstream.Event {
	c.t.Helper()
	select {
	case e, ok := <-c.events:
		require.True(c.t, ok, "the stream has ended")
		if e.ID != "" {
			c.last = e.ID
		}
		return e
	case <-time.After(patience):
		c.t.Fatal("nothing came")
		panic("unreachable")
	}
}

func (c *client) next() eventstream.Event {
	c.t.Helper()
	for {
		if e := c.any(); e.Name != "" {
			return e
		}
	}
}

// row returns the next event of the stream.
func (c *client) row() adminapi.Event {
	c.t.Helper()
	e, row := c.next(), adminapi.Event{}
	require.Equal(c.t, adminapi.LiveEvent, e.Name, e.Data)
	require.NoError(c.t, json.Unmarshal([]byte(e.Data), &row))
	require.Equal(c.t, e.ID, fmt.Sprint(row.Seq))
	return row
}

// rows requires the events of predictions from first to last, in order.
func (c *client) rows(first, last int) {
	c.t.Helper()
	for i := first; i <= last; i++ {
		require.Equal(c.t, id(i), c.row().Prediction)
	}
}

func (c *client) leftOut(name string) (l adminapi.LeftOut) {
	c.t.Helper()
	e := c.next()
	require.Equal(c.t, name, e.Name, e.Data)
	require.NoError(c.t, json.Unmarshal([]byte(e.Data), &l))
	return l
}

// ended returns when the stream has, without another event.
func (c *client) ended() {
	c.t.Helper()
	late := time.After(patience)
	for {
		select {
		case e, ok := <-c.events:
			if !ok {
				return
			}
			require.Empty(c.t, e.Name, e.Data)
		case <-late:
			c.t.Fatal("the stream has not ended")
		}
	}
}

func (b *bench) eventually(what func() bool) {
	b.t.Helper()
	require.Eventually(b.t, what, patience, time.Millisecond)
}

// consumers is how many consumers the stream of events has.
func (b *bench) consumers() int {
	s, err := b.JS.Stream(context.Background(), b.Names.EventsStream())
	if err != nil {
		return -1
	}
	return s.CachedInfo().State.Consumers
}

// persist requires every event from first to last, once and in order, of a client that comes again
// when it was dropped, and after each stay events.
func (b *bench) persist(first, last, stay int) {
	b.t.Helper()
	for i := first; i <= last; {
		c := b.open(query(), fmt.Sprint(i-1))
		for until := i + stay; i <= last && i < until; {
			e, ok := <-c.events
			if !ok {
				break
			}
			if e.Name != "" {
				require.Equal(b.t, adminapi.LiveEvent, e.Name, e.Data)
				require.Equal(b.t, fmt.Sprint(i), e.ID)
				i++
			}
		}
		c.leave()
	}
}

// query is a path with a query.
func query(parts ...string) string { return "/events/live?" + strings.Join(parts, "&") }
