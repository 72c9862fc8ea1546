package redelivery_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/natstest"
)

const scenarioEvents = 2_000

type team struct {
	name  string
	calls sync.Map // event id: *atomic.Int32
	total atomic.Int64
	more  consumers.Config
	act   func(ctx context.Context, a consumers.Attempt) error
}

func (c *team) Handle(ctx context.Context, ev *bridge.Event) error {
	if err := c.act(ctx, consumers.AttemptOf(ctx)); err != nil {
		return err
	}
	n, _ := c.calls.LoadOrStore(ev.ID, new(atomic.Int32))
	n.(*atomic.Int32).Add(1)
	c.total.Add(1)
	return nil
}

// most returns the largest number of times that one event was handled, and the number of
// events.
func (c *team) most() (most int32, events int) {
	c.calls.Range(func(_, n any) bool {
		most = max(most, n.(*atomic.Int32).Load())
		events++
		return true
	})
	return most, events
}

// Of ten teams one always fails, one hangs, one is paused and one panics: the six others handle
// each of 2,000 events once, unaffected. Failed events are dead letters with their whole
// history, and are handled after a repair.
func TestTenConsumers(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 1 << 30
	b := streamtest.Start(t, cfg)
	pub := b.Publisher()

	var broken atomic.Bool
	broken.Store(true)
	fine := func(context.Context, consumers.Attempt) error { return nil }
	teams := []*team{
		{name: "fails", act: func(_ context.Context, a consumers.Attempt) error {
			switch {
			case broken.Load() && a.Number == 3:
				return consumers.Permanent(fmt.Errorf("broken for good at attempt %d", a.Number))
			case broken.Load():
				return fmt.Errorf("broken at attempt %d", a.Number)
			}
			return nil
		}, more: consumers.Config{Retry: consumers.Retry{First: time.Millisecond, Max: time.Millisecond}}},
		{name: "hangs", act: func(ctx context.Context, _ consumers.Attempt) error { <-ctx.Done(); return ctx.Err() }},
		{name: "panics", act: func(context.Context, consumers.Attempt) error { panic("at every event") }, more: consumers.Config{Retry: consumers.Retry{First: time.Minute}}},
		{name: "paused", act: fine},
	}
	for n := range 6 {
		teams = append(teams, &team{name: fmt.Sprint("works-", n), act: fine, more: consumers.Config{Once: n%3 == 0}})
	}

	running, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	t.Cleanup(func() { stop(); ended.Wait() })
	for _, c := range teams {
		config := c.more
		config.Name, config.Start, config.Concurrency, config.Grace = c.name, consumers.Start{All: true}, 4, time.Nanosecond
		consumer, err := consumers.New(b.JS, c, config)
		require.NoError(t, err)
		ended.Go(func() {
			if err := consumer.Run(running); err != nil {
				t.Error(err)
			}
		})
		require.Eventually(t, func() bool {
			_, err := b.JS.Consumer(ctx, "HOOKSPAN_EVENTS", c.name)
			return err == nil
		}, patience, time.Millisecond)
	}
	all := durables.New(b.JS, b.Names, nil)
	require.NoError(t, all.Pause(ctx, "paused", time.Time{}))

	var publishing sync.WaitGroup
	next := make(chan int)
	for range 128 {
		publishing.Go(func() {
			for n := range next {
				if _, err := pub.Publish(ctx, natstest.Event(fmt.Sprint(n))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range scenarioEvents {
		next <- n
	}
	close(next)
	publishing.Wait()

	const long = 5 * time.Minute
	for _, c := range teams[4:] {
		require.Eventually(t, func() bool { return settled(t, b.JS, c.name) }, long, 10*time.Millisecond, c.name)
		most, events := c.most()
		require.Equal(t, scenarioEvents, events, c.name)
		require.EqualValues(t, 1, most, c.name)
	}
	for _, c := range teams[1:4] {
		require.Zero(t, c.total.Load(), c.name)
	}
	require.Eventually(t, func() bool { return b.Messages(t, "HOOKSPAN_DEAD") == scenarioEvents }, long, 10*time.Millisecond)
	require.Zero(t, teams[0].total.Load())

	deadLetters := 0
	require.NoError(t, redelivery.NewDeadLetters(b.JS, b.Names).Scan(ctx, adminapi.DeadSelection{}, func(e adminapi.DeadEntry, selected bool) error {
		require.True(t, selected)
		deadLetters++
		switch {
		case e.Consumer != "fails" || e.Cause != bridge.DeadPermanent || e.Fault != bridge.FaultFailed || e.Attempts != 3 || len(e.History) != 3:
			return fmt.Errorf("letter %d: %+v", e.Sequence, e.DeadLetter)
		case string(e.Body) != string(natstest.Event(e.Event.PredictionID).Body):
			return fmt.Errorf("letter %d has another body", e.Sequence)
		}
		for n, attempt := range e.History {
			if attempt.At.IsZero() || attempt.Took < 0 || attempt.Error != fmt.Sprintf("broken%s at attempt %d", map[bool]string{true: " for good"}[n == 2], n+1) {
				return fmt.Errorf("letter %d: attempt %d: %+v", e.Sequence, n, attempt)
			}
		}
		return nil
	}))
	require.Equal(t, scenarioEvents, deadLetters)

	broken.Store(false)
	again := redelivery.NewRedeliverer(b.JS, pub, redelivery.Config{
		Names:   b.Names,
		Handled: attemptrecord.NewLookup(b.JS, b.Names).Handled,
		Filter:  func(string) (bridge.Filter, bool) { return bridge.Filter{}, false },
	})
	given, after := 0, uint64(0)
	for more := true; more; {
		report := again.Redrive(ctx, adminapi.DeadSelection{Consumer: "fails", After: after, Limit: 1000}, adminapi.RedeliveryOptions{})
		require.Empty(t, report.Stopped)
		given += report.Given
		more, after = report.More, report.Last
	}
	require.Equal(t, scenarioEvents, given)
	require.Eventually(t, func() bool { return settled(t, b.JS, "fails") }, long, 10*time.Millisecond)
	most, events := teams[0].most()
	require.Equal(t, scenarioEvents, events)
	require.EqualValues(t, 1, most)
	require.Zero(t, b.Messages(t, "HOOKSPAN_DEAD"))
	for _, c := range teams[4:] {
		require.EqualValues(t, scenarioEvents, c.total.Load(), "%s hears nothing of it", c.name)
	}

	require.NoError(t, all.Resume(ctx, "paused"))
	require.Eventually(t, func() bool { return settled(t, b.JS, "paused") }, long, 10*time.Millisecond)
	require.EqualValues(t, scenarioEvents, teams[3].total.Load())
}

func settled(t *testing.T, js jetstream.JetStream, name string) bool {
	t.Helper()
	c, err := js.Consumer(context.Background(), "HOOKSPAN_EVENTS", name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return false
	}
	require.NoError(t, err)
	return c.CachedInfo().NumPending == 0 && c.CachedInfo().NumAckPending == 0
}
