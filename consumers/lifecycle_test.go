package consumers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A handler may take longer than the lease: the lease is extended, and no other worker gets the
// event.
func TestLeaseIsRenewed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls atomic.Int32
	renewed := make(chan struct{})
	b.run(func(context.Context, *bridge.Event) error {
		calls.Add(1)
		<-renewed
		return nil
	}, Config{Lease: time.Second, Concurrency: 2})
	b.publish("pred_1")
	for range 6 { // twice the lease
		require.Equal(t, "+WPI", next(t, wire))
	}
	close(renewed)
	for text := "+WPI"; text != "+ACK"; text = next(t, wire) {
		require.Equal(t, "+WPI", text)
	}
	require.EqualValues(t, 1, calls.Load())
}

func TestLeaseLostEndsTheAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entered, cause := make(chan struct{}), make(chan error, 1)
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		close(entered)
		<-ctx.Done()
		cause <- context.Cause(ctx)
		return ctx.Err()
	}, Config{Lease: time.Second})
	b.publish("pred_1")
	next(t, entered)
	b.NC.Close()
	require.ErrorIs(t, next(t, cause), ErrLeaseLost)
}

func TestTimeoutIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls int
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		calls++
		if calls == 1 {
			<-ctx.Done()
			require.ErrorIs(t, context.Cause(ctx), ErrTimeout)
			return ctx.Err()
		}
		require.Contains(t, b.record("team", natstest.Event("pred_1").ID).Attempts[0].Error, ErrTimeout.Error())
		return nil
	}, Config{Timeout: 20 * time.Millisecond, Retry: fast})
	b.publish("pred_1")
	require.Contains(t, next(t, wire), "-NAK")
	require.Equal(t, "+ACK", next(t, wire))
}

func TestStopLetsHandlersFinish(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	entered, finish := make(chan struct{}), make(chan struct{})
	c, err := New(b.JS, HandlerFunc(func(ctx context.Context, _ *bridge.Event) error {
		close(entered)
		<-finish
		return ctx.Err()
	}), Config{Name: "team", Start: Start{All: true}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- c.Run(ctx) }()
	b.publish("pred_1", "pred_2")
	next(t, entered)
	cancel()
	close(finish)
	require.NoError(t, next(t, stopped))
	require.Equal(t, "+ACK", next(t, wire))
	require.EqualValues(t, 1, b.info("team").NumPending, "no more is fetched")
}

// Events that are given back when a consumer stops come again at once, and no attempt was
// counted: three deploys are not three failures.
func TestStopGivesBackWhatIsNotFinished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.publish("pred_1")
	for range 3 {
		entered := make(chan struct{})
		stop := b.run(func(ctx context.Context, _ *bridge.Event) error {
			close(entered)
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrStopping) {
				t.Error(context.Cause(ctx))
			}
			return Permanent(ctx.Err())
		}, Config{Grace: time.Nanosecond})
		next(t, entered)
		require.NoError(t, stop())
		require.Equal(t, "-NAK", next(t, wire))
	}
	require.Equal(t, 0, b.record("team", natstest.Event("pred_1").ID).Failures)
	done := make(chan struct{})
	b.run(func(context.Context, *bridge.Event) error {
		close(done)
		return nil
	}, Config{})
	next(t, done)
	require.Equal(t, "+ACK", next(t, wire))
	require.EqualValues(t, 0, b.Messages(t, "HOOKSPAN_DEAD"))
}

func TestAttemptsAreCountedAcrossProcesses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.publish("pred_1")
	for want := 1; want <= 3; want++ {
		stop := b.run(func(context.Context, *bridge.Event) error { return errors.New("no") },
			Config{Retry: Retry{First: 50 * time.Millisecond, Max: 50 * time.Millisecond}})
		require.Contains(t, next(t, wire), "-NAK")
		require.NoError(t, stop())
		require.GreaterOrEqual(t, b.record("team", natstest.Event("pred_1").ID).Failures, want)
	}
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 3
	var now, most atomic.Int32
	entered, leave := make(chan struct{}, 100), make(chan struct{})
	b.run(func(context.Context, *bridge.Event) error {
		most.Store(max(most.Load(), now.Add(1)))
		entered <- struct{}{}
		<-leave
		now.Add(-1)
		return nil
	}, Config{Concurrency: n})
	b.publish("1", "2", "3", "4", "5", "6", "7")
	for range n {
		next(t, entered)
	}
	info := b.info("team")
	require.Equal(t, n, info.NumAckPending, "none is fetched before a worker is free")
	close(leave)
	for range 7 - n {
		next(t, entered)
	}
	require.EqualValues(t, n, most.Load())
}

func TestProcessesShareADurable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := make(chan string, 100)
	handler := func(_ context.Context, ev *bridge.Event) error {
		got <- ev.PredictionID
		return nil
	}
	for range 3 {
		b.run(handler, Config{Concurrency: 2})
	}
	var want []string
	for i := range 30 {
		want = append(want, "pred_"+string(rune('A'+i)))
	}
	b.publish(want...)
	var ids []string
	for range want {
		ids = append(ids, next(t, got))
	}
	slices.Sort(ids)
	require.Equal(t, want, ids)
}

func TestRunWaitsForTheStream(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	stream, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.NoError(t, b.JS.DeleteStream(ctx, "HOOKSPAN_EVENTS"))
	done := make(chan struct{})
	b.run(func(context.Context, *bridge.Event) error {
		close(done)
		return nil
	}, Config{})
	b.eventually(func() bool { return b.logs.FilterMessage("cannot fetch events, trying again").Len() > 0 }, "it says so")
	_, err = b.JS.CreateStream(ctx, stream.CachedInfo().Config)
	require.NoError(t, err)
	b.publish("pred_1")
	next(t, done)
}

func TestHandlerThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	b := setup(t)
	entered, finish := make(chan struct{}), make(chan struct{})
	var once sync.Once
	stop := b.run(func(context.Context, *bridge.Event) error {
		once.Do(func() { close(entered) })
		<-finish
		return nil
	}, Config{Grace: time.Nanosecond})
	b.publish("pred_1")
	next(t, entered)
	require.ErrorIs(t, stop(), ErrStillRunning)
	close(finish)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := HandlerFunc(func(context.Context, *bridge.Event) error { return nil })
	for want, cfg := range map[string]Config{
		"consumer \"\"":    {},
		"consumer \"A.b\"": {Name: "A.b"},
		"prefix":           {Name: "a", Prefix: "a.b"},
		"filter source":    {Name: "a", Filter: bridge.Filter{Sources: []string{"x.y"}}},
		"concurrency":      {Name: "a", Concurrency: -1},
		"negative":         {Name: "a", Timeout: -1},
		"at least 1s":      {Name: "a", Lease: 2},
		"at most 168h0m0s": {Name: "a", Retry: Retry{Max: 169 * time.Hour}},
		"rate is":          {Name: "a", Rate: -1},
		"more than max":    {Name: "a", Retry: Retry{First: time.Minute, Max: time.Second}},
		"both All and At":  {Name: "a", Start: Start{All: true, At: time.Now()}},
	} {
		_, err := New(b.JS, h, cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := New(nil, h, Config{Name: "a"})
	require.Error(t, err)
	_, err = New(b.JS, nil, Config{Name: "a"})
	require.Error(t, err)
}

// Records of another process count also when the durable, set back, delivers the event as if for
// the first time.
func TestRecordOfAnotherProcessAfterADurableIsSetBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return nil }, Config{})
	ev := natstest.Event("pred_1")
	b.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	l, err := attemptrecord.Open(ctx, b.JS, b.Names, "team", time.Hour)
	require.NoError(t, err)
	require.NoError(t, l.Put(ctx, attemptrecord.EventKey(ev.ID), attemptrecord.Record{Event: ev.ID, State: attemptrecord.Dead}))

	stream, err := b.JS.Stream(ctx, "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	_, err = stream.ResetConsumerToSequence(ctx, "team", 1)
	require.NoError(t, err)
	require.Equal(t, "+ACK", next(t, wire))
	r, _, err := l.Load(ctx, attemptrecord.EventKey(ev.ID))
	require.NoError(t, err)
	require.Equal(t, attemptrecord.Record{Event: ev.ID, State: attemptrecord.Done, AfterDead: true}, r)
	b.publish("pred_2") // and it goes on
	require.Equal(t, "+ACK", next(t, wire))
}
