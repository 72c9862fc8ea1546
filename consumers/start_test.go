package consumers

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/natstest"
)

// publishAs publishes events of a status.
func (b *bench) publishAs(status string, ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		ev := natstest.Event(id)
		ev.Status, ev.ID = status, id+"/"+status
		_, err := b.Publish(context.Background(), ev)
		require.NoError(b.t, err)
	}
}

// delivered returns the predictions of the next n events of a durable, which has no more.
func (b *bench) delivered(name string, n int) []string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.EqualValues(b.t, n, b.info(name).NumPending, name)
	c, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", name)
	require.NoError(b.t, err)
	var ids []string
	for range n {
		m, err := c.Next(jetstream.FetchContext(ctx))
		require.NoError(b.t, err)
		ids = append(ids, m.Headers().Get("ce-subject"))
	}
	return ids
}

// A start at a time is one event, whichever of the durable's subjects it is on: the
// server alone would go on to the first event of a status that had none before.
func TestStartAtATimeLeavesNothingOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publishAs("completed", "old")
	stream, err := b.JS.Stream(context.Background(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	old, err := stream.GetMsg(context.Background(), 1)
	require.NoError(t, err)
	b.publishAs("completed", "a", "b", "c")
	b.publishAs("failed", "d")
	b.publishAs("completed", "e")
	_, err = durable.Definition{Name: "team", Start: durable.StartPoint{At: old.Time.Add(time.Nanosecond)}}.Provision(context.Background(), b.JS)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, b.delivered("team", 5))
}

// Whatever decides which events are delivered, and when, is what the configuration says
// of a durable that another program made before.
func TestForeignDurableIsMadeWhatItIsToBe(t *testing.T) {
	t.Parallel()
	future := time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		cfg  jetstream.ConsumerConfig
		want []string
	}{
		"start-behind-the-end":  {jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 1_000_000}, []string{"b", "c"}},
		"start-in-the-future":   {jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &future}, []string{"b", "c"}},
		"start-behind-ours":     {jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: 3}, []string{"b", "c"}},
		"start-with-the-last":   {jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverLastPolicy}, []string{"b", "c"}},
		"start-with-new":        {jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverNewPolicy}, []string{"b", "c"}},
		"start-before-ours":     {jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}, []string{"a", "b", "c"}},
		"last-of-each-subject":  {jetstream.ConsumerConfig{DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: "hookspan.>"}, []string{"b", "c"}},
		"replayed-as-they-came": {jetstream.ConsumerConfig{ReplayPolicy: jetstream.ReplayOriginalPolicy}, []string{"a", "b", "c"}},
		"priority-groups": {jetstream.ConsumerConfig{
			PriorityPolicy: jetstream.PriorityPolicyPinned, PriorityGroups: []string{"mine"}, PinnedTTL: time.Minute,
		}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, b := context.Background(), setup(t)
			b.publish("a", "b", "c")
			stream, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
			require.NoError(t, err)
			second, err := stream.GetMsg(ctx, 2)
			require.NoError(t, err)
			c.cfg.Durable, c.cfg.AckPolicy = "team", jetstream.AckExplicitPolicy
			_, err = b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", c.cfg)
			require.NoError(t, err)

			d := durable.Definition{Name: "team", Kind: "pull", Start: durable.StartPoint{At: second.Time}}
			require.ErrorIs(t, d.Verify(ctx, b.JS), durable.ErrDiffers)
			change, err := d.Provision(ctx, b.JS)
			require.NoError(t, err)
			require.NotEmpty(t, change.Differences)
			require.NoError(t, d.Verify(ctx, b.JS))
			require.Equal(t, c.want, b.delivered("team", len(c.want)))
			require.Equal(t, map[string]string{consumerstate.MetadataKind: "pull"}, onlyOurs(b.info("team").Config.Metadata))
		})
	}
}

// onlyOurs leaves out what the server adds.
func onlyOurs(metadata map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range metadata {
		if key == consumerstate.MetadataKind {
			out[key] = value
		}
	}
	return out
}

// The last event of each subject is not every event, although nothing was delivered yet.
func TestForeignDurableOfTheLastEvents(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.publishAs("failed", "first")
	b.publishAs("completed", "a", "b", "c")
	_, err := b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: "hookspan.>",
	})
	require.NoError(t, err)
	first := uint64(0)
	d := durable.Definition{Name: "team", Kind: "pull", Start: durable.StartPoint{All: true}, Remaking: func(seq uint64) error { first = seq; return nil }}
	_, err = d.Provision(ctx, b.JS)
	require.NoError(t, err)
	require.EqualValues(t, 1, first, "it was told before")
	require.Equal(t, []string{"first", "a", "b", "c"}, b.delivered("team", 4))
}

// A bridge that finds the durable as another configuration has made it says so.
func TestConfigurationOfAnotherBridge(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	mine := durable.Definition{Name: "team", Kind: "pull", Filter: bridge.Filter{Statuses: []string{"completed"}}}
	theirs := durable.Definition{Name: "team", Kind: "pull", Filter: bridge.Filter{Statuses: []string{"failed"}}}
	for _, d := range []durable.Definition{mine, theirs} {
		_, err := d.Provision(ctx, b.JS)
		require.NoError(t, err)
		require.NoError(t, d.Verify(ctx, b.JS))
	}
	require.ErrorIs(t, mine.Verify(ctx, b.JS), durable.ErrOtherBridge)
	cfg := b.info("team").Config
	cfg.HeadersOnly = true
	_, err := b.JS.UpdateConsumer(ctx, "HOOKSPAN_EVENTS", cfg)
	require.NoError(t, err)
	err = theirs.Verify(ctx, b.JS)
	require.ErrorIs(t, err, durable.ErrDiffers)
	require.NotErrorIs(t, err, durable.ErrOtherBridge, "somebody changed it")
}

// One that has delivered already is not made anew behind the back of its reader, nor
// taken for what it is not.
func TestForeignDurableWithAnotherStartIsRefused(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.publish("a")
	c, err := b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
	})
	require.NoError(t, err)
	b.publish("b")
	m, err := c.Next()
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(ctx))
	d := durable.Definition{Name: "team", Kind: "pull", Start: durable.StartPoint{All: true}}
	_, err = d.Provision(ctx, b.JS)
	require.ErrorIs(t, err, durable.ErrUnusable)
	require.ErrorContains(t, err, "begins with new")
	require.ErrorContains(t, err, "hookspan consumers seek")
	d.Start = durable.StartPoint{At: time.Now()}
	_, err = d.Provision(ctx, b.JS)
	require.NoError(t, err, "it has had everything from then on")
}

// A recorded place behind the end of the stream is ignored.
func TestPlaceBehindTheEndIsNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("a", "b")
	_, err := durable.Definition{Name: "team", Kind: "pull", Start: durable.StartPoint{All: true}}.ProvisionFrom(context.Background(), b.JS, 1_000_000)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, b.delivered("team", 2))
}

// A durable of ours that was set to another place stays there.
func TestOwnDurableStaysWhereItIs(t *testing.T) {
	t.Parallel()
	ctx, b := context.Background(), setup(t)
	b.publish("a", "b", "c")
	d := durable.Definition{Name: "team", Kind: "pull", Start: durable.StartPoint{All: true}}
	_, err := d.ProvisionFrom(ctx, b.JS, 3)
	require.NoError(t, err)
	change, err := d.Provision(ctx, b.JS)
	require.NoError(t, err)
	require.Equal(t, durable.Change{}, change)
	require.Equal(t, []string{"c"}, b.delivered("team", 1))
}

func TestNarrowedFilterSaysWhatItSkips(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next bridge.Filter
		want uint64
	}{
		"same":            {bridge.Filter{Statuses: []string{"completed", "failed"}}, 0},
		"wider":           {bridge.Filter{Statuses: []string{"*"}}, 0},
		"one status less": {bridge.Filter{Statuses: []string{"failed"}}, 3},
		"one model":       {bridge.Filter{Statuses: []string{"completed", "failed"}, Model: natstest.Event("x").Model}, 0},
		"other model":     {bridge.Filter{Statuses: []string{"completed", "failed"}, Model: "other/*"}, 5},
		"other source":    {bridge.Filter{Statuses: []string{"completed", "failed"}, Sources: []string{"other"}}, 5},
		"moved":           {bridge.Filter{Statuses: []string{"failed", "canceled"}}, 3},
		"other kind":      {bridge.Filter{Event: bridge.KindArchived}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, b := context.Background(), setup(t)
			d := durable.Definition{Name: "team", Filter: bridge.Filter{Statuses: []string{"completed", "failed"}}, Start: durable.StartPoint{All: true}}
			_, err := d.Provision(ctx, b.JS)
			require.NoError(t, err)
			b.publishAs("completed", "handled", "a", "b", "c")
			b.publishAs("failed", "d", "e")
			b.publishAs("canceled", "f")
			c1, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", "team")
			require.NoError(t, err)
			m, err := c1.Next()
			require.NoError(t, err)
			require.NoError(t, m.DoubleAck(ctx))

			d.Filter = c.next
			skips, err := d.Skips(ctx, b.JS)
			require.NoError(t, err)
			require.Equal(t, c.want, skips)
			change, err := d.Provision(ctx, b.JS)
			require.NoError(t, err)
			require.Equal(t, c.want, change.Skipped)
		})
	}
}
