package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/lists"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// operated is the API on a real server with events a, b and c, a durable team, and a dead
// letter of team for each event.
func operated(t *testing.T) (*admin.Server, *streamtest.Bench) {
	t.Helper()
	return operatedBy(t, start(t, "127.0.0.1:0"))
}

// operatedBy has a server serve that API.
func operatedBy(t *testing.T, s *admin.Server) (*admin.Server, *streamtest.Bench) {
	t.Helper()
	ctx := context.Background()
	b := streamtest.Start(t, streamtest.Config())
	pub := b.Publisher()
	for _, id := range []string{"a", "b", "c"} {
		ev := natstest.Event(id)
		_, err := pub.Publish(ctx, ev)
		require.NoError(t, err)
		letter := bridge.DeadLetter{
			Consumer: "team", Cause: bridge.DeadPermanent, Fault: bridge.FaultFailed, Error: "no", Attempts: 1,
			Subject: b.Names.Event(ev.Source, ev.Status, ev.Model), History: []bridge.FailedAttempt{{Error: "no"}},
		}
		_, err = b.JS.PublishMsg(ctx, &nats.Msg{Subject: b.Names.Dead("team", letter.Subject), Header: nats.Header(letter.Header(ev.Header())), Data: ev.Body})
		require.NoError(t, err)
	}
	_, err := b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: []string{"hookspan.events.>", b.Names.AllAgain("team")},
	})
	require.NoError(t, err)
	again := redelivery.NewRedeliverer(b.JS, pub, redelivery.Config{
		Names:   b.Names,
		Handled: func(context.Context, string, *bridge.Event) (bool, error) { return false, nil },
		Filter:  func(string) (bridge.Filter, bool) { return bridge.Filter{}, false },
	})
	all := lists.New(nil, b.JS, b.Names)
	letters := struct {
		*redelivery.DeadLetters
		*redelivery.Redeliverer
		*lists.Lists
	}{redelivery.NewDeadLetters(b.JS, b.Names), again, all}
	events := struct {
		*redelivery.Events
		*redelivery.Redeliverer
		*lists.Lists
	}{redelivery.NewEvents(b.JS, b.Names), again, all}
	consumers := consumerOperator{durables.New(b.JS, b.Names, map[string]string{"archive": "archive"}), b}
	s.SetAPI(func(api *echo.Group) {
		admin.RegisterConsumers(api, consumers)
		admin.RegisterDeadLetters(api, letters)
		admin.RegisterEvents(api, events)
	})
	return s, b
}

// durables can be added to.
type consumerOperator struct {
	*durables.Durables

	b *streamtest.Bench
}

func (d consumerOperator) Add(ctx context.Context, c adminapi.AddCall) error {
	subjects, _ := c.Filter().Subjects(d.b.Names)
	_, err := d.b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: c.Name, AckPolicy: jetstream.AckExplicitPolicy, FilterSubjects: subjects, MaxDeliver: c.MaxDeliveries, AckWait: time.Duration(c.LeaseSeconds) * time.Second,
	})
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return adminapi.ErrConsumerExists
	}
	return err
}

func (d consumerOperator) Skips(_ context.Context, name string, filter bridge.Filter) (uint64, error) {
	if name != "team" {
		return 0, adminapi.ErrNoConsumer
	}
	return uint64(len(filter.Statuses)), nil
}

func (d consumerOperator) LeftBehind() []adminapi.LeftBehind {
	return []adminapi.LeftBehind{{Store: "embedded", Prefix: "old", Waiting: 5, Text: "they wait"}}
}

// ask returns the API's answer.
func ask[T any](t *testing.T, s *admin.Server, path, body string) (out T) {
	t.Helper()
	method, header := http.MethodGet, map[string]string(nil)
	if body != "" {
		method, header = http.MethodPost, asJSON
	}
	a := do(t, s, method, "/api/v1"+path, body, header)
	require.Equal(t, 200, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), &out))
	return out
}

func TestConsumersAPI(t *testing.T) {
	s, _ := operated(t)
	list := ask[adminapi.ConsumerList](t, s, "/consumers", "")
	require.Len(t, list.Consumers, 2)
	require.True(t, list.Consumers[0].Missing)
	require.EqualValues(t, 3, list.Consumers[1].Pending)
	require.EqualValues(t, 3, list.Consumers[1].Dead)

	for verb, body := range map[string]string{"filter-skips": `{}`, "seek": `{"new":true}`} {
		require.Equal(t, 404, do(t, s, http.MethodPost, "/api/v1/consumers/nobody/"+verb, body, asJSON).status, verb)
	}
	require.EqualValues(t, 2, ask[adminapi.FilterSkips](t, s, "/consumers/team/filter-skips", `{"statuses":["completed","failed"]}`).Skips)
	require.Greater(t, time.Until(ask[adminapi.ConsumerState](t, s, "/consumers/team/pause", `{}`).PausedUntil), 24*time.Hour)
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	require.WithinDuration(t, until, ask[adminapi.ConsumerState](t, s, "/consumers/team/pause", `{"until":"`+until.Format(time.RFC3339)+`"}`).PausedUntil, time.Second)
	require.Zero(t, ask[adminapi.ConsumerState](t, s, "/consumers/team/resume", `{}`).PausedUntil)
	require.Equal(t, adminapi.ConsumerSeek{From: 1, To: 4}, ask[adminapi.ConsumerSeek](t, s, "/consumers/team/seek", `{"new":true,"dry_run":true}`))
	require.Equal(t, adminapi.ConsumerSeek{From: 1, To: 3}, ask[adminapi.ConsumerSeek](t, s, "/consumers/team/seek", `{"seq":3}`))
	require.EqualValues(t, 1, ask[adminapi.ConsumerState](t, s, "/consumers/team", "").Pending)
	require.EqualValues(t, 1, ask[adminapi.RemovedConsumer](t, s, "/consumers/team/remove", `{"dry_run":true}`).Unsettled)
	require.EqualValues(t, 3, ask[adminapi.RemovedConsumer](t, s, "/consumers/team/remove", `{}`).Dead)
	require.Len(t, ask[adminapi.ConsumerList](t, s, "/consumers", "").Consumers, 1)

	added := ask[adminapi.ConsumerState](t, s, "/consumers", `{"name":"search","statuses":["completed"],"model":"google/*","lease_seconds":5}`)
	require.Equal(t, "search", added.Name)
	require.Equal(t, []string{"hookspan.events.*.prediction.completed.google.>"}, added.Filter)
	a := do(t, s, http.MethodPost, "/api/v1/consumers", `{"name":"search"}`, map[string]string{"Content-Type": "application/json"})
	require.Equal(t, 409, a.status)
}

func TestDeadLettersAPI(t *testing.T) {
	s, b := operated(t)
	list := ask[adminapi.DeadLetterList](t, s, "/dead?limit=2", "")
	require.Len(t, list.Letters, 2)
	require.Equal(t, "c", list.Letters[0].Prediction)
	list = ask[adminapi.DeadLetterList](t, s, "/dead?limit=2&cursor="+list.Next, "")
	require.Len(t, list.Letters, 1)
	require.Empty(t, list.Next)
	require.Len(t, ask[adminapi.DeadLetterList](t, s, "/dead?consumer=team&cause=permanent&prediction=b", "").Letters, 1)
	require.Len(t, ask[adminapi.DeadLetterList](t, s, "/dead?group="+list.Letters[0].Group, "").Letters, 3)
	require.Empty(t, ask[adminapi.DeadLetterList](t, s, "/dead?group=none", "").Letters)
	require.Empty(t, ask[adminapi.DeadLetterList](t, s, "/dead?consumer=other", "").Letters)
	d := ask[adminapi.DeadLetterDetail](t, s, "/dead/2", "")
	require.Equal(t, []bridge.FailedAttempt{{Error: "no"}}, d.History)
	require.Equal(t, natstest.Event("b").Body, d.Bytes())

	require.Equal(t, 1, ask[adminapi.RedeliveryReport](t, s, "/dead/redrive", `{"seqs":[2],"dry_run":true}`).Given)
	require.EqualValues(t, 3, b.Messages(t, "HOOKSPAN_DEAD"))
	require.Equal(t, 1, ask[adminapi.RedeliveryReport](t, s, "/dead/redrive", `{"consumer":"team","prediction":"b","rate":10}`).Given)
	require.EqualValues(t, 2, b.Messages(t, "HOOKSPAN_DEAD"))
	require.EqualValues(t, 4, b.Messages(t, "HOOKSPAN_EVENTS"))
	require.Equal(t, 2, ask[adminapi.RedeliveryReport](t, s, "/dead/drop", `{"consumer":"team"}`).Dropped)
	require.Zero(t, b.Messages(t, "HOOKSPAN_DEAD"))
}

func TestEventsAPI(t *testing.T) {
	s, b := operated(t)
	list := ask[adminapi.EventList](t, s, "/events?source=get3w&status=completed&model=get3w/*&limit=2", "")
	require.NotEmpty(t, list.Next)
	require.Len(t, list.Events, 2)
	require.Equal(t, natstest.Event("c").ID, list.Events[0].ID)
	require.Len(t, ask[adminapi.EventList](t, s, "/events?prediction=c&since=2000-01-01T00:00:00Z", "").Events, 1)
	require.Empty(t, ask[adminapi.EventList](t, s, "/events?until=2000-01-01T00:00:00Z", "").Events)
	require.Equal(t, natstest.Event("c").Body, ask[adminapi.EventDetail](t, s, "/events/3", "").Bytes())

	for range 2 {
		require.Equal(t, 3, ask[adminapi.RedeliveryReport](t, s, "/events/replay", `{"consumer":"team","run":"1"}`).Given)
	}
	require.EqualValues(t, 6, b.Messages(t, "HOOKSPAN_EVENTS"))
	for range 2 {
		require.Equal(t, 1, ask[adminapi.RedeliveryReport](t, s, "/events/replay", `{"consumer":"team","seqs":[1]}`).Given)
	}
	require.EqualValues(t, 8, b.Messages(t, "HOOKSPAN_EVENTS"), "two calls without a run are two replays")
}

func TestOperatorsAPIRefuses(t *testing.T) {
	s, b := operated(t)
	for path, status := range map[string]int{
		"/consumers/nobody": 404, "/consumers/a.b": 404, "/dead/0": 400, "/dead/x": 400, "/dead/99": 404, "/dead?limit=1001": 400,
		"/events/99": 404, "/events/-1": 400, "/events?limit=0": 400, "/dead?cursor=!": 400, "/events?since=yesterday": 400, "/events?status=a.b": 400, "/events?source=*.>": 400,
		"/events?prediction=" + strings.Repeat("x", 257): 400,
	} {
		a := get(t, s, "/api/v1"+path)
		require.Equal(t, status, a.status, path)
		require.NotEmpty(t, a.detail(t), path)
	}
	for path, bodies := range map[string][]string{
		"/consumers": {
			`{}`, `{"name":"A"}`, `{"name":"a","model":"x*y"}`, `{"name":"a","start":"soon"}`, `{"name":"a","lease_seconds":0}`,
			`{"name":"a","max_deliveries":1}`, `{"name":"a","statuses":["*.>"]}`, `{"name":"a","event":"x"}`,
		},
		"/consumers/team/pause":  {``, `[]`, `{"for":"1h"}`, `{"until":"2000-01-01T00:00:00Z"}`},
		"/consumers/team/resume": {`{"x":1}`},
		"/consumers/team/seek":   {`{}`, `{"first":true,"new":true}`, `{"seq":-1}`, `{"since":"now"}`},
		"/consumers/team/remove": {`{"all":true}`},
		"/dead/redrive":          {`{}`, `{"cause":"permanent"}`, `{"consumer":"team","rate":-1}`, `{"consumer":"team","rate":0.001}`, `{"consumer":"team","limit":1001}`, `{"seqs":[` + strings.Repeat("1,", 1000) + `1]}`},
		"/dead/drop":             {`{}`, `{"consumer":"team","rate":1}`, `{"consumer":"team","handled":true}`},
		"/events/replay":         {`{}`, `{"consumer":"team","run":"` + strings.Repeat("x", 65) + `"}`, `{"consumer":"team","sources":["*.>"]}`, `{"consumer":"team","rate":1e9}`},
	} {
		for _, body := range bodies {
			a := do(t, s, http.MethodPost, "/api/v1"+path, body, map[string]string{"Content-Type": "application/json"})
			require.Equal(t, 400, a.status, "%s %.60s", path, body)
			a.detail(t)
		}
	}
	for _, path := range []string{"/consumers/nobody/pause", "/consumers/nobody/resume", "/consumers/nobody/remove"} {
		a := do(t, s, http.MethodPost, "/api/v1"+path, `{}`, map[string]string{"Content-Type": "application/json"})
		require.Equal(t, 404, a.status, path)
	}
	a := do(t, s, http.MethodPost, "/api/v1/consumers/archive/remove", `{}`, map[string]string{"Content-Type": "application/json"})
	require.Equal(t, 409, a.status)
	require.EqualValues(t, 3, b.Messages(t, "HOOKSPAN_DEAD"))
	require.EqualValues(t, 3, b.Messages(t, "HOOKSPAN_EVENTS"))
}

// A list begins with the newest entry and goes on with the cursor; another cursor is refused.
func TestPagesOfAList(t *testing.T) {
	s, _ := operated(t)
	for query, want := range map[string][]uint64{
		"": {3, 2, 1}, "&limit=1": {3, 2, 1}, "&limit=2": {3, 2, 1}, "&limit=3": {3, 2, 1}, "&until=2020-01-01T00:00:00Z": nil, "&since=2020-01-01T00:00:00Z": {3, 2, 1}, "&prediction=b": {2},
	} {
		var got []uint64
		for cursor, more := "", true; more; more = cursor != "" {
			list := ask[adminapi.EventList](t, s, "/events?cursor="+cursor+query, "")
			for _, e := range list.Events {
				got = append(got, e.Seq)
			}
			cursor = list.Next
		}
		require.Equal(t, want, got, query)
	}
	for _, cursor := range []string{"!", "-1", "zzzzzzzzzzzzzzzz", "1.2", "%00", strings.Repeat("1", 1<<12)} {
		for _, of := range []string{"events", "dead"} {
			got := do(t, s, http.MethodGet, "/api/v1/"+of+"?cursor="+cursor, "", nil)
			require.Equal(t, 400, got.status)
			require.Equal(t, "cursor is the next of the page before", got.detail(t))
		}
	}
}
