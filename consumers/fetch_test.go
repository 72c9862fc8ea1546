package consumers

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// fetcher returns one of a consumer that does not run.
func (b *bench) fetcher(cfg Config) *fetcher {
	b.t.Helper()
	cfg.Name, cfg.Start, cfg.Logger = "team", Start{All: true}, b.log
	c, err := New(b.JS, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), cfg)
	require.NoError(b.t, err)
	return c.newFetcher()
}

func (b *bench) ids(n int) (ids []string) {
	for i := range n {
		ids = append(ids, "pred_"+strconv.Itoa(i))
	}
	return ids
}

// The server lets a durable have 512 requests at once; workers share theirs.
func TestMoreWorkersThanTheServerTakesRequests(t *testing.T) {
	t.Parallel()
	const n = 600
	b := setup(t)
	entered, leave := make(chan struct{}, n), make(chan struct{})
	b.run(func(context.Context, *bridge.Event) error {
		entered <- struct{}{}
		<-leave
		return nil
	}, Config{Concurrency: n})
	b.publish(b.ids(n)...)
	for range n {
		next(t, entered)
	}
	close(leave)
	require.Empty(t, b.logs.FilterMessage("cannot fetch events, trying again").All())
}

// Requested events that come while the consumer stops are given back.
func TestStopGivesBackWhatWasNotHandedOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	f := b.fetcher(Config{Concurrency: 3})
	_, p, err := f.reach(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.ask(3))
	b.publish(b.ids(3)...)
	b.eventually(func() bool { return len(p.in) == 3 }, "all have come")
	f.end(p)
	for range 3 {
		require.Equal(t, "-NAK", next(t, wire))
	}
}

// An event for which no worker waits is not kept for one that is busy.
func TestEventWithoutAWorkerIsGivenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	f := b.fetcher(Config{})
	d, p, err := f.reach(t.Context())
	require.NoError(t, err)
	defer f.end(p)
	require.NoError(t, p.ask(1))
	b.publish("pred_1")
	msg, err := p.next(t.Context())
	require.NoError(t, err)
	f.handOn(d, msg)
	require.Equal(t, "-NAK", next(t, wire))
}

// A server that was reached anew may not have the request: the durable is looked up at once, not
// after the heartbeats are missed.
func TestNewConnectionMeansNewRequest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	f := b.fetcher(Config{})
	_, p, err := f.reach(t.Context())
	require.NoError(t, err)
	defer f.end(p)
	require.NoError(t, p.ask(1))
	require.NoError(t, b.NC.ForceReconnect())
	_, err = p.next(t.Context())
	require.ErrorIs(t, err, errMoved)
}

func TestNewConnectionUnderAConsumer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := make(chan string, 10)
	b.run(func(_ context.Context, ev *bridge.Event) error {
		got <- ev.PredictionID
		return nil
	}, Config{})
	b.publish("before")
	require.Equal(t, "before", next(t, got))
	b.eventually(func() bool { return b.info("team").NumWaiting == 1 }, "it asks for the next one")
	require.NoError(t, b.NC.ForceReconnect())
	b.eventually(b.NC.IsConnected, "it is connected again")
	b.publish("after")
	require.Equal(t, "after", next(t, got))
}

// Records of events that never failed are not looked up, also of events that are older than the
// consumer.
func TestHealthyEventsAreNotLookedUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	asked := make(chan *nats.Msg, 100)
	_, err := b.NC.ChanSubscribe("$JS.API.DIRECT.GET.KV_HOOKSPAN_ATTEMPTS.>", asked)
	require.NoError(t, err)
	b.publish(b.ids(20)...)
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return nil }, Config{})
	for range 20 {
		require.Equal(t, "+ACK", next(t, wire))
	}
	require.Empty(t, asked)
}

// A durable that is set back under a running consumer delivers as if for the first
// time; what failed meanwhile is remembered all the same.
func TestAttemptsAreCountedAcrossAReset(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	numbers := make(chan int, 10)
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		numbers <- AttemptOf(ctx).Number
		return errors.New("no")
	}, Config{Retry: Retry{First: time.Minute, Max: time.Minute}})
	b.eventually(func() bool { return b.logs.FilterMessage("consuming").Len() == 1 }, "it is bound")
	b.publish("pred_1")
	stream, err := b.JS.Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	for want := 1; want <= 3; want++ {
		require.Equal(t, want, next(t, numbers))
		require.Contains(t, next(t, wire), "-NAK")
		_, err := stream.ResetConsumerToSequence(t.Context(), "team", 1)
		require.NoError(t, err)
	}
}
