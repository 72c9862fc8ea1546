package live_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/live"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestEventsAsTheyAreStored(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	b.storeMany(0, 9)
	c := b.fresh(query())
	require.Equal(t, "text/event-stream", c.header.Get("Content-Type"))
	require.Contains(t, c.header.Get("Cache-Control"), "no-store")
	require.Contains(t, c.header.Get("Cache-Control"), "no-transform")
	require.Equal(t, "no", c.header.Get("X-Accel-Buffering"))
	e := event("a", "failed", "google/veo")
	e.ReceivedAt = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	seq := b.store(e)
	row := c.row()
	require.WithinDuration(t, time.Now(), row.StoredAt, patience)
	require.Equal(t, adminapi.NewEvent(&adminapi.EventEntry{Sequence: seq, StoredAt: row.StoredAt, Event: e, Body: e.Body}), row, "as in a list of events")
	b.storeMany(10, 300)
	c.rows(10, 300)
}

// A message that is no event is told to nobody, and stops nothing. Copies that come again for a
// consumer are no events of their own.
func TestOnlyEventsAreTold(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	c := b.fresh(query())
	e := natstest.Event("again")
	for _, subject := range []string{b.Names.Event("get3w", "completed", "m"), b.Names.Again("team", b.Names.SubjectOf(e))} {
		_, err := b.JS.Publish(t.Context(), subject, []byte("no event"))
		require.NoError(t, err)
	}
	b.StoreStatuses(t, b.Names.EventsStream(), b.Names.Event("get3w", "completed", "m"))
	archived := natstest.Event("a")
	archived.ID, archived.Type, archived.Status = "a/archived", bridge.TypeArchived, "archived"
	b.store(archived)
	b.storeMany(1, 1)
	c.rows(1, 1)
}

func TestFilters(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	_, err := b.JS.CreateConsumer(t.Context(), b.Names.EventsStream(), jetstream.ConsumerConfig{
		Durable: "team", FilterSubjects: []string{b.Names.Event("other", "*", "google/veo")}, AckPolicy: jetstream.AckExplicitPolicy,
	})
	require.NoError(t, err)
	want := map[string][]string{
		query():                                   {"a", "b", "c", "d"},
		query("source=other"):                     {"c"},
		query("status=failed"):                    {"b", "d"},
		query("model=google/*"):                   {"b", "c"},
		query("model=google/veo", "status=*"):     {"b", "c"},
		query("prediction=d"):                     {"d"},
		query("source=get3w", "status=failed"):    {"b", "d"},
		query("event=outputs.archived"):           {"e"},
		query("consumer=billing"):                 {"b"},
		query("consumer=billing", "source=other"): nil,
		query("consumer=team"):                    {"c"},
		query("consumer=team", "status=failed"):   nil,
	}
	clients, again := map[string]*client{}, map[string]*client{}
	for q := range want {
		clients[q] = b.fresh(q)
	}
	before := clients[query()].last
	for _, e := range []*bridge.Event{event("a", "completed", "m"), event("b", "failed", "google/veo"), event("c", "completed", "google/veo"), event("d", "failed", "")} {
		if e.PredictionID == "c" {
			e.Source = "other"
		}
		b.store(e)
	}
	archived := natstest.Event("e")
	archived.ID, archived.Type, archived.Status = "e/archived", bridge.TypeArchived, "archived"
	b.store(archived)
	check := func(clients map[string]*client) {
		for q, ids := range want {
			for _, id := range ids {
				require.Equal(t, id, clients[q].row().Prediction, q)
			}
		}
		b.stop()
		for _, c := range clients {
			c.ended()
		}
	}
	check(clients)
	b.serve() // what the ring has is selected as what the stream has
	for q := range want {
		again[q] = b.open(q, before)
	}
	check(again)
}

func TestAlarms(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	raise := func(a bridge.Alarm) {
		text, err := json.Marshal(a)
		require.NoError(t, err)
		_, err = b.JS.Publish(t.Context(), b.Names.Alarm(a.Kind), text)
		require.NoError(t, err)
	}
	all, some := b.fresh("/alarms/live"), b.fresh("/alarms/live?kind=quota&subject=x")
	_, err := b.JS.Publish(t.Context(), b.Names.Alarm("quota"), []byte("{"))
	require.NoError(t, err)
	raise(bridge.Alarm{Kind: "quota", Text: "first", Details: map[string]any{"n": 1.0}})
	raise(bridge.Alarm{Kind: "quota", Text: "second", Subject: "x"})
	var told struct {
		Seq uint64 `json:"seq"`
		bridge.Alarm
	}
	e := all.next()
	require.Equal(t, adminapi.LiveAlarm, e.Name)
	require.NoError(t, json.Unmarshal([]byte(e.Data), &told))
	require.Equal(t, "first", told.Text)
	require.EqualValues(t, 2, told.Seq)
	require.Equal(t, "2", e.ID)
	require.Equal(t, "3", some.next().ID)
	require.Equal(t, "3", all.next().ID)
	b.stop()
	b.serve()
	require.Equal(t, "3", b.open("/alarms/live", "2").next().ID)
}

// One reader serves all clients, and ends a while after the last one has left.
func TestOneReaderForAll(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{Idle: time.Millisecond})
	require.Zero(t, b.consumers())
	var clients []*client
	for range 20 {
		clients = append(clients, b.fresh(query()))
	}
	require.Equal(t, 1, b.consumers())
	b.storeMany(1, 5)
	for _, c := range clients {
		c.rows(1, 5)
		c.leave()
	}
	b.eventually(func() bool { return b.consumers() == 0 && b.streams.Listening() == 0 })
	c := b.fresh(query())
	b.storeMany(6, 6)
	c.rows(6, 6)
}

// A silent stream shows that it lives, and where it is.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{Heartbeat: 10 * time.Millisecond})
	c := b.fresh(query("status=failed"))
	b.storeMany(1, 3)
	for c.any(); c.last != "3"; {
		require.Empty(t, c.any().Name)
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	for path, status := range map[string]int{
		query("rate=0"): 400, query("rate=201"): 400, query("rate=x"): 400, query("source=a.b"): 400, query("status=a.b"): 400,
		query("event=x"): 400, query("consumer=nobody"): 404, query("consumer=a.b"): 404, query("consumer=%3E"): 404, "/events/live/": 404, "/events/live/x": 404,
	} {
		res := b.get(t.Context(), path, "")
		require.Equal(t, status, res.StatusCode, path)
		require.NoError(t, res.Body.Close())
	}
	res, err := http.Post(b.url+"/events/live", "application/json", nil)
	require.NoError(t, err)
	require.Equal(t, 405, res.StatusCode)
	require.NoError(t, res.Body.Close())
}

// More clients than are allowed are told to come again, and others are served.
func TestTooManyClients(t *testing.T) {
	t.Parallel()
	const most = 200
	b := start(t, live.Limits{})
	var clients []*client
	for i := range most {
		path := query()
		if i%2 == 0 {
			path = "/alarms/live"
		}
		clients = append(clients, b.fresh(path))
	}
	require.Equal(t, most, b.streams.Listening())
	res := b.get(t.Context(), query(), "")
	require.Equal(t, 503, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	require.NoError(t, res.Body.Close())
	clients[0].leave()
	b.eventually(func() bool {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		res := b.get(ctx, query(), "")
		defer func() { _ = res.Body.Close() }()
		return res.StatusCode == http.StatusOK
	})
	b.stop()
	for _, c := range clients[1:] {
		c.ended()
	}
}

func TestSampledBeyondTheRate(t *testing.T) {
	t.Parallel()
	const n = 300
	b := start(t, live.Limits{})
	all, few := b.fresh(query()), b.fresh(query("rate=1"))
	b.storeMany(1, n)
	all.rows(1, n)
	b.storeMany(n+1, n+1)
	told, left := uint64(0), uint64(0)
	for few.last != fmt.Sprint(n+1) {
		switch e := few.next(); e.Name {
		case adminapi.LiveEvent:
			told++
		case adminapi.LiveSampled:
			var l adminapi.LeftOut
			require.NoError(t, json.Unmarshal([]byte(e.Data), &l))
			require.Equal(t, e.ID, fmt.Sprint(l.Until))
			require.Less(t, l.After, l.Until)
			left += l.LeftOut
		}
	}
	require.EqualValues(t, n+1, told+left)
	require.NotZero(t, left)
}

// A reader that is too late leaves out what it has not read, and says so to everybody.
func TestReaderThatIsLate(t *testing.T) {
	t.Parallel()
	const n = 400
	b := start(t, live.Limits{Batch: 5, Behind: 50, JumpEvery: time.Nanosecond})
	c := b.fresh(query())
	b.storeMany(1, n)
	told, left := 0, 0
	for c.last != fmt.Sprint(n) {
		switch e := c.next(); e.Name {
		case adminapi.LiveEvent:
			told++
		case adminapi.LiveSampled:
			var l adminapi.LeftOut
			require.NoError(t, json.Unmarshal([]byte(e.Data), &l))
			left += int(l.LeftOut)
		}
	}
	require.Equal(t, n, told+left)
	require.NotZero(t, left)
}
