package consumers

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// alarms are what was raised, as far as there is room.
type alarms chan bridge.Alarm

func (a alarms) Raise(alarm bridge.Alarm) {
	select {
	case a <- alarm:
	default:
	}
}

// keep runs a keeper that looks very often.
func (b *bench) keep(cfg KeeperConfig) alarms {
	b.t.Helper()
	raised := make(alarms, 1000)
	cfg.Alarms, cfg.Logger = raised, b.log
	k, err := NewKeeper(b.JS, cfg)
	require.NoError(b.t, err)
	k.every = 5 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	b.t.Cleanup(func() { cancel(); require.NoError(b.t, <-done) })
	return raised
}

func (b *bench) untilThere(name string) jetstream.Consumer {
	b.t.Helper()
	var c jetstream.Consumer
	b.eventually(func() (there bool) {
		var err error
		c, err = b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", name)
		return err == nil
	}, "the durable is there")
	return c
}

func TestKeeperMakesTheDurableOfAnotherProgram(t *testing.T) {
	b := setup(t)
	b.keep(KeeperConfig{Durable: Durable{Name: "search", Lease: 7 * time.Second, MaxDeliveries: 12, Start: Start{All: true}}})
	cfg := b.untilThere("search").CachedInfo().Config
	require.Equal(t, 7*time.Second, cfg.AckWait)
	require.Equal(t, 12, cfg.MaxDeliver)
	require.Equal(t, jetstream.AckExplicitPolicy, cfg.AckPolicy)
	require.Equal(t, jetstream.DeliverAllPolicy, cfg.DeliverPolicy)
	require.Empty(t, cfg.BackOff)
	require.ElementsMatch(t, []string{
		"hookspan.events.*.prediction.completed.>", "hookspan.events.*.prediction.failed.>", "hookspan.again.search.>",
	}, cfg.FilterSubjects)
}

// Nothing is lost when somebody removes the durable, and what was acknowledged does
// not come again.
func TestKeeperMakesARemovedDurableAgain(t *testing.T) {
	ctx := context.Background()
	b := setup(t)
	raised := b.keep(KeeperConfig{Durable: Durable{Name: "search"}})
	c := b.untilThere("search")
	b.publish("1", "2", "3")
	m, err := c.Next()
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(ctx))
	b.eventually(func() bool { return b.info("search").AckFloor.Stream == 1 }, "it is acknowledged")
	asked := b.asked("search")
	next(t, asked)
	next(t, asked) // so the keeper has seen the acknowledgement
	require.NoError(t, b.JS.DeleteConsumer(ctx, "HOOKSPAN_EVENTS", "search"))
	alarm := next(t, raised)
	require.Equal(t, bridge.AlarmConsumerRemoved, alarm.Kind)
	require.Equal(t, "search", alarm.Subject)
	info := b.untilThere("search").CachedInfo()
	require.Equal(t, jetstream.DeliverByStartSequencePolicy, info.Config.DeliverPolicy)
	require.EqualValues(t, 2, info.Config.OptStartSeq)
	require.EqualValues(t, 2, info.NumPending)
	require.Empty(t, raised)
}

// asked tells each look at a durable, once the look before is over.
func (b *bench) asked(consumer string) <-chan struct{} {
	b.t.Helper()
	out := make(chan struct{}, 1)
	sub, err := b.NC.Subscribe("$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS."+consumer, func(*nats.Msg) {
		select {
		case out <- struct{}{}:
		default:
		}
	})
	require.NoError(b.t, err)
	require.NoError(b.t, b.NC.Flush())
	b.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return out
}

func TestKeeperChangesBackWhatSomebodyChanged(t *testing.T) {
	ctx := context.Background()
	b := setup(t)
	raised := b.keep(KeeperConfig{Durable: Durable{Name: "search", MaxDeliveries: 20}})
	cfg := b.untilThere("search").CachedInfo().Config
	cfg.MaxDeliver, cfg.HeadersOnly = 1, true
	cfg.FilterSubjects = []string{"hookspan.events.none.>"}
	_, err := b.JS.UpdateConsumer(ctx, "HOOKSPAN_EVENTS", cfg)
	require.NoError(t, err)
	alarm := next(t, raised)
	require.Equal(t, bridge.AlarmConsumerChanged, alarm.Kind)
	require.Contains(t, alarm.Text, "max deliver from 1 to 20")
	require.Contains(t, alarm.Text, "headers only from true to false")
	require.Len(t, b.info("search").Config.FilterSubjects, 3)
}

func TestKeeperThatOnlyVerifies(t *testing.T) {
	ctx := context.Background()
	b := setup(t)
	raised := b.keep(KeeperConfig{Durable: Durable{Name: "search"}, VerifyOnly: true})
	require.Equal(t, bridge.AlarmConsumerRemoved, next(t, raised).Kind)
	_, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", "search")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)
	_, err = Durable{Name: "search", MaxDeliveries: 3}.Provision(ctx, b.JS)
	require.NoError(t, err)
	for alarm := next(t, raised); alarm.Kind != bridge.AlarmConsumerChanged; alarm = next(t, raised) {
		require.Equal(t, bridge.AlarmConsumerRemoved, alarm.Kind)
	}
	require.Equal(t, 3, b.info("search").Config.MaxDeliver)
	change, err := Durable{Name: "search"}.Provision(ctx, b.JS)
	require.NoError(t, err)
	require.Equal(t, []string{"max deliver from 3 to -1"}, change.Differences)
	require.NoError(t, Durable{Name: "search"}.Verify(ctx, b.JS))
}

func TestKeeperConfig(t *testing.T) {
	b := setup(t)
	for want, d := range map[string]Durable{
		"consumer \"No\"":    {Name: "No"},
		"lease":              {Name: "a", Lease: time.Millisecond},
		"max deliveries":     {Name: "a", MaxDeliveries: -1},
		"filter source":      {Name: "a", Filter: bridge.Filter{Sources: []string{"A"}}},
		"start has both All": {Name: "a", Start: Start{All: true, At: time.Now()}},
	} {
		_, err := NewKeeper(b.JS, KeeperConfig{Durable: d, Alarms: make(alarms)})
		require.ErrorContains(t, err, want)
		_, err = d.Provision(context.Background(), b.JS)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, d.Verify(context.Background(), b.JS), want)
	}
}
