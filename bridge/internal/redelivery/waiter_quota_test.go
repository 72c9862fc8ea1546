package redelivery

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Only unchanged copies of stored events wait, and only for existing durables.
func TestOnlyStoredEventsOfDurablesThatExistWait(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := setup(t)
	for _, id := range []string{"pred_1", "pred_2"} {
		_, err := b.pub.Publish(ctx, natstest.Event(id))
		require.NoError(t, err)
	}
	search, app := b.as(stream.PullUser("search")), b.as(stream.AppUser)
	event := b.read(search, "search")
	invented := natstest.Event("invented")
	for name, change := range map[string]func(*nats.Msg){
		"no sequence":      func(m *nats.Msg) { m.Subject = "hookspan.later.search.a" },
		"another sequence": func(m *nats.Msg) { m.Subject = "hookspan.later.search.2" },
		"not there yet":    func(m *nats.Msg) { m.Subject = "hookspan.later.search.77" },
		"another body":     func(m *nats.Msg) { m.Data = append([]byte(" "), m.Data...) },
		"another id":       func(m *nats.Msg) { m.Header.Set("ce-id", "pred_9/completed/0123456789abcdef") },
		"invented":         func(m *nats.Msg) { maps.Copy(m.Header, nats.Header(invented.Header())); m.Data = invented.Body },
		"no durable":       func(m *nats.Msg) { m.Subject = strings.Replace(m.Subject, "search", "nobody", 1) },
	} {
		m, js := waiting(event, "search", time.Now()), search
		if name == "no durable" {
			m, js = waiting(event, "nobody", time.Now()), app
		}
		change(m)
		_, err := js.PublishMsg(ctx, m)
		var api *jetstream.APIError
		require.ErrorAs(t, err, &api, name)
		require.Equal(t, 400, api.Code, name)
	}
	// An event that comes again for another consumer.
	_, err := b.as(stream.PullUser("other")).PublishMsg(ctx, waiting(b.read(b.as(stream.PullUser("other")), "other"), "other", time.Now()))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.Messages(t, "HOOKSPAN_EVENTS") == 3 }, patience, 5*time.Millisecond)
	m := waiting(event, "search", time.Now())
	m.Subject = "hookspan.later.search.3"
	_, err = search.PublishMsg(ctx, m)
	require.ErrorContains(t, err, "only an event that is stored")
	b.nothingWaits()
	require.EqualValues(t, 3, b.Messages(t, "HOOKSPAN_EVENTS"), "two, and one again for the other one")
}

// A program that keeps letting one event wait until now uses up its own quota, and neither the
// stream nor the quota of others; an alarm names it.
func TestWaitsHaveAQuota(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := setup(t)
	large := natstest.Event("pred_1")
	large.Body = []byte(`{"id":"pred_1","pad":"` + strings.Repeat("x", 1<<20) + `"}`)
	_, err := b.pub.Publish(ctx, large)
	require.NoError(t, err)
	js := b.as(stream.PullUser("search"))
	m := waiting(b.read(js, "search"), "search", time.Now().Add(time.Hour))
	for err == nil {
		_, err = js.PublishMsg(ctx, m)
	}
	var api *jetstream.APIError
	require.ErrorAs(t, err, &api)
	require.Equal(t, 503, api.Code)
	require.Contains(t, api.Description, "over the quota")
	require.Equal(t, []string{bridge.AlarmQuota}, b.Alarms.Kinds())
	_, err = b.as(stream.PullUser("other")).PublishMsg(ctx, waiting(b.read(b.as(stream.PullUser("other")), "other"), "other", time.Now()))
	require.NoError(t, err, "another consumer has a quota of its own")
}

// Each is refused with a reason that clients see as an error of JetStream.
func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	js := b.as(stream.PullUser("search"))
	_, err := b.pub.Publish(t.Context(), natstest.Event("pred_1"))
	require.NoError(t, err)
	event := b.read(js, "search")
	for _, c := range []struct {
		name   string
		change func(*nats.Msg)
		want   string
	}{
		{"no schedule", func(m *nats.Msg) { m.Header.Del("Nats-Schedule") }, "must be @at"},
		{"repeated", func(m *nats.Msg) { m.Header.Set("Nats-Schedule", "@every 1s") }, "must be @at"},
		{"cron", func(m *nats.Msg) { m.Header.Set("Nats-Schedule", "* * * * * *") }, "must be @at"},
		{"no time", func(m *nats.Msg) { m.Header.Set("Nats-Schedule", "@at tomorrow") }, "must be @at"},
		{"too late", func(m *nats.Msg) {
			m.Header.Set("Nats-Schedule", "@at "+time.Now().Add(8*24*time.Hour).Format(time.RFC3339))
		}, "wait for 7 days"},
		{"no target", func(m *nats.Msg) { m.Header.Del("Nats-Schedule-Target") }, "must be hookspan.due.search."},
		{"of another", func(m *nats.Msg) { m.Header.Set("Nats-Schedule-Target", "hookspan.due.other.get3w.x") }, "must be hookspan.due.search."},
		{"events", func(m *nats.Msg) { m.Header.Set("Nats-Schedule-Target", "hookspan.events.get3w.x") }, "must be hookspan.due.search."},
		{"wildcard", func(m *nats.Msg) { m.Header.Set("Nats-Schedule-Target", "hookspan.due.search.>") }, "must be hookspan.due.search."},
		{"empty token", func(m *nats.Msg) { m.Header.Set("Nats-Schedule-Target", "hookspan.due.search.a..b") }, "must be hookspan.due.search."},
		{"many tokens", func(m *nats.Msg) {
			m.Header.Set("Nats-Schedule-Target", "hookspan.due.search"+strings.Repeat(".a", 17))
		}, "must be hookspan.due.search."},
		{"no event", func(m *nats.Msg) { m.Header.Del("ce-id") }, "copy the body and the headers"},
		{"attempts", func(m *nats.Msg) { m.Header.Set("hookspan-attempt", "many") }, "copy the headers"},
		{"token", func(m *nats.Msg) { m.Subject = "hookspan.later.search.a:b" }, "publish to hookspan.later."},
	} {
		m := waiting(event, "search", time.Now().Add(time.Hour))
		c.change(m)
		_, err := js.PublishMsg(t.Context(), m)
		var api *jetstream.APIError
		require.ErrorAs(t, err, &api, c.name)
		require.Equal(t, 400, api.Code, c.name)
		require.Contains(t, api.Description, c.want, c.name)
	}
	require.Zero(t, b.Messages(t, "HOOKSPAN_LATER"))
}

func TestNoRoomToWait(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := setup(t)
	js := b.as(stream.PullUser("search"))
	st, err := b.JS.Stream(ctx, "HOOKSPAN_LATER")
	require.NoError(t, err)
	cfg := st.CachedInfo().Config
	cfg.Metadata[bridge.LaterLimitKey] = "0"
	_, err = b.JS.UpdateStream(ctx, cfg)
	require.NoError(t, err)
	_, err = b.pub.Publish(ctx, natstest.Event("pred_1"))
	require.NoError(t, err)
	event := b.read(js, "search")
	_, err = js.PublishMsg(ctx, waiting(event, "search", time.Now().Add(time.Hour)))
	require.ErrorContains(t, err, "too many events wait")
	require.Zero(t, b.Messages(t, "HOOKSPAN_LATER"))
}
