package app

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/predictions/await"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A prediction that the view does not know has a timeline by its events, also of consumers
// that began later, earlier, or not at all.
func TestTimelineByEvents(t *testing.T) {
	t.Parallel()
	b := streamtest.Start(t, streamtest.Config())
	v, err := view.Open(view.Config{Path: filepath.Join(t.TempDir(), "view.db"), Names: b.Names, JS: b.JS}) // nothing is folded
	require.NoError(t, err)
	t.Cleanup(func() { _ = v.Close() })
	k := known{View: v, past: await.NewPast(b.JS, b.Names), cfg: &config.Config{}, consumers: durables.New(b.JS, b.Names, map[string]string{"planned": "pull"}).List}
	_, err = k.Timeline(t.Context(), "get3w", "pred", "")
	require.ErrorIs(t, err, bridge.ErrNotFound)
	_, err = k.Timeline(t.Context(), "get3w", "pred", "no cursor")
	require.ErrorIs(t, err, adminapi.ErrCursor)

	durable := func(name string, c jetstream.ConsumerConfig) {
		c.Durable, c.AckPolicy = name, jetstream.AckExplicitPolicy
		_, err := b.JS.CreateConsumer(t.Context(), b.Names.EventsStream(), c)
		require.NoError(t, err)
	}
	durable("early", jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy})
	e := natstest.Event("pred")
	receipt, err := b.Publisher().Publish(t.Context(), e)
	require.NoError(t, err)
	durable("all", jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	durable("late", jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy})
	durable("behind", jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: receipt.Sequence + 1})
	durable("after", jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: new(time.Now().Add(time.Hour))})
	durable("others", jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy, FilterSubject: "hookspan.events.other.>"})

	line, err := k.Timeline(t.Context(), "get3w", "pred", "")
	require.NoError(t, err)
	require.Equal(t, "pred", line.Prediction.ID)
	require.Len(t, line.Events, 1)
	require.Equal(t, b.Names.SubjectOf(e), line.Events[0].Subject)
	states := map[string]string{}
	for _, l := range line.Events[0].Lanes {
		states[l.Consumer] = l.State
	}
	require.Equal(t, map[string]string{
		"early": "unread", "all": "unread", "late": "before_start", "behind": "before_start", "after": "before_start", "others": "not_meant", "planned": "missing",
	}, states)
	b.Stop()
	_, err = k.Timeline(t.Context(), "get3w", "pred", "")
	require.Error(t, err)
}
