package consumers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := make(chan string, 100)
	b.run(func(_ context.Context, ev *bridge.Event) error {
		got <- ev.PredictionID
		return nil
	}, Config{Filter: bridge.Filter{Model: "google/*/text*", Statuses: []string{"completed"}}})
	for id, change := range map[string]func(*bridge.Event){
		"other model":  func(ev *bridge.Event) { ev.Model = "google/nano/image" },
		"other status": func(ev *bridge.Event) { ev.Status, ev.Model = "failed", "google/nano/text-to-image" },
		"wanted":       func(ev *bridge.Event) { ev.Model = "google/nano/text-to-image" },
	} {
		ev := natstest.Event(id)
		change(ev)
		_, err := b.Publish(context.Background(), ev)
		require.NoError(t, err)
	}
	require.Equal(t, "wanted", next(t, got))
	b.eventually(func() bool {
		info := b.info("team")
		return info.NumPending == 0 && info.NumAckPending == 0
	}, "what the filter leaves out is acknowledged")
	require.Empty(t, got)
	require.Equal(t, []string{
		"hookspan.events.*.prediction.completed.google.>", "hookspan.again.team.>",
	}, b.info("team").Config.FilterSubjects)
}

func TestStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("old")
	stream, err := b.JS.Stream(context.Background(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	old, err := stream.GetMsg(context.Background(), 1)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		start Start
		want  []string
	}{
		"all":    {Start{All: true}, []string{"old"}},
		"since":  {Start{At: old.Time}, []string{"old"}},
		"beyond": {Start{At: old.Time.Add(time.Millisecond)}, nil},
	} {
		got := make(chan string, 10)
		stop := b.run(func(_ context.Context, ev *bridge.Event) error {
			got <- ev.PredictionID
			return nil
		}, Config{Name: name, Start: c.start})
		for _, want := range c.want {
			require.Equal(t, want, next(t, got), name)
		}
		b.eventually(func() bool {
			_, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", name)
			return err == nil
		}, "the durable exists")
		require.EqualValues(t, 0, b.info(name).NumPending, name)
		require.NoError(t, stop())
	}
}

func TestStartOfTheZeroValue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("old")
	got := make(chan string, 10)
	c, err := New(b.JS, HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		got <- ev.PredictionID
		return nil
	}), Config{Name: "zero"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	b.eventually(func() bool {
		_, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", "zero")
		return err == nil
	}, "the durable exists")
	b.publish("new")
	require.Equal(t, "new", next(t, got))
	cancel()
	require.NoError(t, <-done)
	require.Empty(t, got)
}

// A durable that is removed under a running consumer loses no events.
func TestDurableRemovedUnderUs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish("before")
	got := make(chan string, 10)
	block := make(chan struct{})
	b.run(func(_ context.Context, ev *bridge.Event) error {
		got <- ev.PredictionID
		if ev.PredictionID == "one" {
			<-block
		}
		return nil
	}, Config{Start: Start{At: time.Now()}})
	b.eventually(func() bool {
		_, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
		return err == nil
	}, "the durable exists")
	b.publish("one")
	require.Equal(t, "one", next(t, got))
	require.NoError(t, b.JS.DeleteConsumer(context.Background(), "HOOKSPAN_EVENTS", "team"))
	b.publish("two")
	close(block)
	for next(t, got) != "two" {
	}
	require.Equal(t, 1, b.logs.FilterMessage("the durable is gone, created it again").Len())
}

// A stream that is made anew counts from one again; the place in the old one
// means nothing there.
func TestStreamMadeAnew(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setup(t)
	b.publish("1", "2", "3", "4", "5")
	got := make(chan string, 100)
	handler := func(_ context.Context, ev *bridge.Event) error {
		got <- ev.PredictionID
		return nil
	}
	stop := b.run(handler, Config{})
	for range 5 {
		next(t, got)
	}
	require.NoError(t, stop())
	b.eventually(func() bool { return b.info("team").AckFloor.Stream == 5 }, "all are acknowledged")
	b.run(handler, Config{}) // it begins with the sixth
	b.eventually(func() bool { return b.logs.FilterMessage("consuming").Len() == 2 }, "it is bound")
	stream, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.NoError(t, b.JS.DeleteStream(ctx, "HOOKSPAN_EVENTS"))
	_, err = b.JS.CreateStream(ctx, stream.CachedInfo().Config)
	require.NoError(t, err)
	b.publish("new")
	require.Equal(t, "new", next(t, got))
	require.Equal(t, 1, b.logs.FilterMessage("the stream was made anew, beginning with its first event").Len())
}

// A durable that is made anew delivers as if for the first time; what failed
// before is remembered all the same.
func TestAttemptsAreCountedAcrossDurables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.publish("pred_1")
	failing := func(context.Context, *bridge.Event) error { return errors.New("no") }
	slow := Retry{First: time.Minute, Max: time.Minute}
	for want := 1; want <= 3; want++ {
		stop := b.run(failing, Config{Retry: slow})
		require.Contains(t, next(t, wire), "-NAK")
		require.NoError(t, stop())
		require.Equal(t, want, b.record("team", natstest.Event("pred_1").ID).Failures)
		require.NoError(t, b.JS.DeleteConsumer(context.Background(), "HOOKSPAN_EVENTS", "team"))
	}
}

func TestClosedConnectionEndsRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, err := New(b.JS, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "team", Start: Start{All: true}})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- c.Run(context.Background()) }()
	b.eventually(func() bool {
		_, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
		return err == nil
	}, "the durable exists")
	b.NC.Close()
	require.ErrorIs(t, next(t, done), nats.ErrConnectionClosed)
}

// A durable that cannot be used is reported and waited for: somebody may remove it.
func TestDurableThatCannotBeUsedIsWaitedFor(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b := setup(t)
	got := make(chan string, 100)
	run := func(name string) {
		b.run(func(context.Context, *bridge.Event) error { got <- name; return nil }, Config{Name: name})
		b.eventually(func() bool {
			for _, line := range b.logs.FilterMessage("cannot fetch events, trying again").All() {
				if text, _ := line.ContextMap()["error"].(string); strings.Contains(text, durable.ErrUnusable.Error()+": "+name) {
					return true
				}
			}
			return false
		}, name+" is said to be unusable")
		require.NoError(t, b.JS.DeleteConsumer(ctx, "HOOKSPAN_EVENTS", name))
		require.Equal(t, name, next(t, got))
	}
	b.publish("pred_1")
	for name, cfg := range map[string]jetstream.ConsumerConfig{
		"none":   {AckPolicy: jetstream.AckNonePolicy},
		"all":    {AckPolicy: jetstream.AckAllPolicy},
		"memory": {AckPolicy: jetstream.AckExplicitPolicy, MemoryStorage: true},
	} {
		cfg.Durable = name
		_, err := b.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", cfg)
		require.NoError(t, err)
		run(name)
	}
	_, err := b.JS.CreatePushConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{Durable: "push", DeliverSubject: "x", AckPolicy: jetstream.AckExplicitPolicy})
	require.NoError(t, err)
	run("push")
}

// Foreign settings of a durable must not keep events, or parts of them, from the handler.
func TestHarmfulSettingsAreTakenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.JS.CreateConsumer(context.Background(), "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, HeadersOnly: true, MaxDeliver: 1, InactiveThreshold: time.Hour,
		BackOff: nil, MaxRequestBatch: 7, FilterSubject: "hookspan.events.none.>",
	})
	require.NoError(t, err)
	got := make(chan *bridge.Event, 1)
	b.run(func(_ context.Context, ev *bridge.Event) error {
		got <- ev
		return nil
	}, Config{})
	b.publish("pred_1")
	require.Equal(t, natstest.Event("pred_1").Body, next(t, got).Body)
	require.Zero(t, b.info("team").Config.InactiveThreshold)
	require.Equal(t, -1, b.info("team").Config.MaxDeliver)
}

func TestChangedFilterChangesTheDurable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handler := func(context.Context, *bridge.Event) error { return nil }
	for _, status := range []string{"failed", "completed", "completed"} {
		stop := b.run(handler, Config{Filter: bridge.Filter{Statuses: []string{status}}})
		b.eventually(func() bool {
			c, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
			return err == nil && c.CachedInfo().Config.FilterSubjects[0] == "hookspan.events.*.prediction."+status+".>"
		}, "the filter is in force")
		require.NoError(t, stop())
	}
	require.Equal(t, 1, b.logs.FilterMessage("changed the durable").Len())
	info := b.info("team")
	require.Equal(t, -1, info.Config.MaxDeliver, "the server must never stop delivering by itself")
	require.Empty(t, info.Config.BackOff)
	require.Equal(t, durable.MaxAckPending, info.Config.MaxAckPending)
}
