package housekeeping

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// Events that a view does not have yet stay in a crowded stream, until it is nearly full. A
// view of another stream, or one that cannot be read, holds nothing back.
func TestJanitorWaitsForViews(t *testing.T) {
	t.Parallel()
	b := small(t, t.TempDir(), limit)
	created := streamOf(t, b, events).CachedInfo().Created
	view := func(name string, value any) {
		raw, err := json.Marshal(value)
		require.NoError(t, err)
		_, err = b.JS.Publish(t.Context(), b.Names.PollsSubject(bridge.KeyView+"."+name), raw)
		require.NoError(t, err)
	}
	first := func() uint64 { return state(t, b, events).FirstSeq }
	tick := func(percent int) {
		t.Helper()
		for state(t, b, events).Bytes < uint64(limit/100*percent) {
			put(t, b, 1, completed)
		}
		require.NoError(t, janitor(b, &natstest.Alarms{}).Tick(t.Context()))
	}
	view("current", bridge.ViewPosition{Folded: 1 << 10, Created: created}) // more than there are
	view("old", bridge.ViewPosition{Folded: 1, Created: created.Add(-time.Hour)})
	view("broken", "x")
	_, err := b.JS.PublishMsg(t.Context(), &nats.Msg{Subject: b.Names.PollsSubject(bridge.KeyView + ".status"), Header: nats.Header{"Status": {"503"}}})
	require.NoError(t, err)
	view("behind", bridge.ViewPosition{Folded: 9, Created: created})
	tick(85)
	require.EqualValues(t, 10, first(), "no durable, and what every view has")
	view("behind", bridge.ViewPosition{Folded: 19, Created: created})
	tick(85)
	require.EqualValues(t, 20, first())
	require.Empty(t, records(t, b), "a view loses nothing that would be recorded")
	durableOf(t, b, jetstream.ConsumerConfig{Durable: "d", AckPolicy: jetstream.AckExplicitPolicy})
	tick(96)
	require.Greater(t, first(), uint64(20), "what the view lacks is in lists no more, and webhooks are accepted")
	require.NotEmpty(t, records(t, b), "of the durable")
}
