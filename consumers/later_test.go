package consumers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

func eventMessage(n bridge.Names, ev *bridge.Event) *nats.Msg {
	h := nats.Header(ev.Header())
	h[bridge.HeaderMsgID] = []string{ev.MsgID()}
	return &nats.Msg{Subject: n.Event(ev.Source, ev.Status, ev.Model), Header: h, Data: ev.Body}
}

// move brings events back whose time has come.
func (b *bench) move() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.Move(ctx)
	}()
	b.t.Cleanup(func() { cancel(); <-done })
}

// sooner makes every wait one that the stream of waiting events is for.
func sooner(c *Consumer) { c.short = 0 }

func TestLongWaitIsNotWithTheDurable(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		b := setup(t)
		b.move()
		wire := b.verdicts("team")
		var seen []Attempt
		var subjects []string
		b.runTuned(HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
			seen, subjects = append(seen, AttemptOf(ctx)), append(subjects, ev.Subject)
			if len(seen) < 3 {
				return RetryAfter(errors.New("not yet"), time.Second)
			}
			return nil
		}), Config{Once: once}, sooner)
		b.publish("pred_1")
		for range 3 {
			require.Equal(t, "+ACK", next(t, wire))
		}
		for i, a := range seen {
			require.Equal(t, i+1, a.Number)
			require.False(t, a.Repeat)
			require.Equal(t, i > 0, strings.HasPrefix(subjects[i], "hookspan.again.team.get3w.prediction.completed."))
		}
		require.Equal(t, seen[1].First.UnixMilli(), seen[2].First.UnixMilli())
		b.eventually(func() bool { return b.Messages(t, "HOOKSPAN_LATER") == 0 }, "nothing waits any more")
		require.EqualValues(t, 3, b.Messages(t, "HOOKSPAN_EVENTS"))
	}
}

// Events that fail faster than they come again do not fill the durable, in front of
// fresh ones: beyond its places they wait elsewhere, however short the wait.
func TestShortWaitsDoNotFillTheDurable(t *testing.T) {
	t.Parallel()
	for name, verdict := range map[string]func(error) error{
		"failed":  func(err error) error { return RetryAfter(err, time.Minute) },
		"snoozed": func(err error) error { return Snooze(err, time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			handled := make(chan struct{}, 1)
			b.runTuned(HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
				if ev.PredictionID == "fresh" {
					handled <- struct{}{}
					return nil
				}
				return verdict(errors.New("not yet"))
			}), Config{}, func(c *Consumer) { c.waits.most = 5 })
			for i := range 20 {
				b.publish(fmt.Sprint("failing_", i))
			}
			b.publish("fresh")
			next(t, handled)
			b.eventually(func() bool { return b.info("team").NumAckPending == 5 }, "five wait with the durable")
			require.EqualValues(t, 15, b.Messages(t, "HOOKSPAN_LATER"))
		})
	}
}

// Waiting events take no place of fresh ones.
func TestThousandsWaitAndAFreshEventIsHandled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.runTuned(HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		if ev.PredictionID == "fresh" {
			return nil
		}
		return RetryAfter(errors.New("not yet"), time.Hour)
	}), Config{Concurrency: 8}, sooner)
	for i := range 300 {
		b.publish("pred_" + string(rune('a'+i%26)) + strings.Repeat("x", i/26))
	}
	for range 300 {
		require.Equal(t, "+ACK", next(t, wire))
	}
	b.eventually(func() bool { return b.info("team").NumAckPending == 0 }, "none waits with the durable")
	require.EqualValues(t, 300, b.Messages(t, "HOOKSPAN_LATER"))
	b.publish("fresh")
	require.Equal(t, "+ACK", next(t, wire))
}

func TestWithoutRoomTheEventWaitsWithTheDurable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stream, err := b.JS.Stream(context.Background(), "HOOKSPAN_LATER")
	require.NoError(t, err)
	cfg := stream.CachedInfo().Config
	cfg.Metadata[bridge.LaterLimitKey] = "0"
	_, err = b.JS.UpdateStream(context.Background(), cfg)
	require.NoError(t, err)
	wire := b.verdicts("team")
	b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error {
		return RetryAfter(errors.New("not yet"), time.Hour)
	}), Config{}, sooner)
	b.publish("pred_1")
	require.Regexp(t, `^-NAK \{"delay": ?(1[0-2]|[6-9])\d{10}\}$`, next(t, wire), "60 to 120 s")
	require.Equal(t, 1, b.record("team", natstest.Event("pred_1").ID).Failures)
}

// The same wait of the same event a second time is not taken for the first one.
func TestEventThatWasHandledCanWaitAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.move()
	wire := b.verdicts("team")
	var calls atomic.Int32
	b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error {
		if calls.Add(1)%2 == 1 {
			return RetryAfter(errors.New("not yet"), time.Second)
		}
		return nil
	}), Config{}, sooner)
	b.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	require.Equal(t, "+ACK", next(t, wire))
	b.publishAgain("team", natstest.Event("pred_1"), "replay")
	require.Equal(t, "+ACK", next(t, wire))
	require.Equal(t, "+ACK", next(t, wire))
	require.EqualValues(t, 4, calls.Load())
}

func TestGateIsAskedBeforeAnEventIsFetched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	g := &gated{open: make(chan struct{}), asked: make(chan struct{}, 1)}
	wire := b.verdicts("team")
	b.runTuned(g, Config{}, func(*Consumer) {})
	next(t, g.asked)
	b.publish("pred_1")
	b.eventually(func() bool {
		durable, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
		return err == nil && durable.CachedInfo().NumPending == 1
	}, "it waits in the stream")
	require.EqualValues(t, 0, b.info("team").Delivered.Consumer)
	close(g.open)
	require.Equal(t, "+ACK", next(t, wire))
}

type gated struct{ open, asked chan struct{} }

func (g *gated) Handle(context.Context, *bridge.Event) error { return nil }

func (g *gated) Wait(ctx context.Context) {
	select {
	case g.asked <- struct{}{}:
	default:
	}
	select {
	case <-g.open:
	case <-ctx.Done():
	}
}

func TestMiddlewareIsAroundTheHandler(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var order []string
	around := func(name string) Middleware {
		return func(next Handler) Handler {
			return HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
				order = append(order, name)
				defer func() { order = append(order, "/"+name) }()
				return next.Handle(ctx, ev)
			})
		}
	}
	b.run(func(context.Context, *bridge.Event) error {
		order = append(order, "handler")
		return nil
	}, Config{Middleware: []Middleware{around("a"), around("b")}})
	b.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	require.Equal(t, []string{"a", "b", "handler", "/b", "/a"}, order)
}

func TestRateBoundsWhatIsFetched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	calls := make(chan struct{}, 10)
	b.run(func(context.Context, *bridge.Event) error {
		calls <- struct{}{}
		return nil
	}, Config{Rate: 1e-3, Concurrency: 4})
	b.publish("pred_1", "pred_2", "pred_3")
	next(t, calls)
	b.eventually(func() bool { i := b.info("team"); return i.NumAckPending == 0 && i.Delivered.Consumer == 1 }, "one is done")
	require.EqualValues(t, 2, b.info("team").NumPending, "the others wait in the stream")
}
