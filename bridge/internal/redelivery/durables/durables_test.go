package durables_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/redelivery/durables"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

type rig struct {
	*streamtest.Bench
	t        *testing.T
	durables *durables.Durables

	mu      sync.Mutex
	handled map[string]int
}

func setup(t *testing.T) *rig {
	t.Helper()
	r := &rig{Bench: streamtest.Start(t, streamtest.Config()), t: t, handled: map[string]int{}}
	r.durables = durables.New(r.JS, r.Names, map[string]string{"configured": "archive"})
	return r
}

func (r *rig) publish(from, to int) {
	r.t.Helper()
	p := r.Publisher()
	for n := from; n <= to; n++ {
		_, err := p.Publish(context.Background(), natstest.Event(fmt.Sprint(n)))
		require.NoError(r.t, err)
	}
}

func (r *rig) run(cfg consumers.Config) (stop func()) {
	r.t.Helper()
	c, err := consumers.New(r.JS, consumers.HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.handled[ev.PredictionID]++
		return nil
	}), cfg)
	require.NoError(r.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); require.NoError(r.t, <-done) })
	r.t.Cleanup(stop)
	r.eventually(func() bool {
		_, err := r.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", cfg.Name)
		return err == nil
	})
	return stop
}

func (r *rig) times(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.handled[fmt.Sprint(n)]
}

func (r *rig) eventually(what func() bool) {
	r.t.Helper()
	require.Eventually(r.t, what, patience, 5*time.Millisecond)
}

func (r *rig) state(name string) adminapi.ConsumerState {
	r.t.Helper()
	list, err := r.durables.List(context.Background())
	require.NoError(r.t, err)
	for _, s := range list {
		if s.Name == name {
			return s
		}
	}
	r.t.Fatalf("%s is not in the list", name)
	panic("unreachable")
}

// A paused consumer gets nothing, even when its program restarts, until it is resumed or the
// pause is over.
func TestPause(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	stop := r.run(consumers.Config{Name: "team", Start: consumers.Start{All: true}})
	r.publish(1, 1)
	r.eventually(func() bool { return r.times(1) == 1 })
	require.NoError(t, r.durables.Pause(ctx, "team", time.Time{}))
	require.WithinRange(t, r.state("team").PausedUntil, time.Now().AddDate(99, 0, 0), time.Now().AddDate(101, 0, 0))
	r.publish(2, 2)
	stop()
	r.run(consumers.Config{Name: "team", Start: consumers.Start{All: true}})
	r.eventually(func() bool { return r.state("team").Waiting == 1 })
	require.EqualValues(t, 1, r.state("team").Pending)
	require.Zero(t, r.times(2))
	require.NoError(t, r.durables.Resume(ctx, "team"))
	r.eventually(func() bool { return r.times(2) == 1 })
	require.Zero(t, r.state("team").PausedUntil)

	require.ErrorIs(t, r.durables.Pause(ctx, "nobody", time.Time{}), adminapi.ErrNoConsumer)
	require.ErrorIs(t, r.durables.Resume(ctx, "nobody"), adminapi.ErrNoConsumer)
}

// A consumer is set back and forward while its program runs, whatever its start, and the
// program does not notice.
func TestSeek(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]consumers.Start{
		"all": {All: true}, "new": {}, "time": {At: time.Now().Add(-time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			r := setup(t)
			ctx := context.Background()
			r.run(consumers.Config{Name: "team", Start: start})
			r.publish(1, 3)
			r.eventually(func() bool { return r.times(3) == 1 })

			dry, err := r.durables.Seek(ctx, "team", adminapi.ConsumerPosition{First: true}, true)
			require.NoError(t, err)
			require.Equal(t, adminapi.ConsumerSeek{From: 4, To: 1}, dry)
			sought, err := r.durables.Seek(ctx, "team", adminapi.ConsumerPosition{Sequence: 2}, false)
			require.NoError(t, err)
			require.Equal(t, adminapi.ConsumerSeek{From: 4, To: 2}, sought)
			r.eventually(func() bool { return r.times(2) == 2 && r.times(3) == 2 })
			require.Equal(t, 1, r.times(1))

			stream, err := r.JS.Stream(ctx, "HOOKSPAN_EVENTS")
			require.NoError(t, err)
			third, err := stream.GetMsg(ctx, 3)
			require.NoError(t, err)
			sought, err = r.durables.Seek(ctx, "team", adminapi.ConsumerPosition{Since: third.Time}, false)
			require.NoError(t, err)
			require.EqualValues(t, 3, sought.To)
			r.eventually(func() bool { return r.times(3) == 3 })

			require.NoError(t, r.durables.Pause(ctx, "team", time.Time{}))
			r.publish(4, 5)
			_, err = r.durables.Seek(ctx, "team", adminapi.ConsumerPosition{New: true}, false)
			require.NoError(t, err)
			require.NotZero(t, r.state("team").PausedUntil, "it is still paused")
			require.NoError(t, r.durables.Resume(ctx, "team"))
			r.publish(6, 6)
			r.eventually(func() bool { return r.times(6) == 1 })
			require.Zero(t, r.times(4))
			require.Zero(t, r.times(5))
			require.Equal(t, 2, r.times(2))
		})
	}
	r := setup(t)
	_, err := r.durables.Seek(context.Background(), "nobody", adminapi.ConsumerPosition{New: true}, false)
	require.ErrorIs(t, err, adminapi.ErrNoConsumer)
}

// Unsettled events before the new position are reported, since they do not come again.
func TestSeekTellsWhatItLeavesBehind(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	durable, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	require.NoError(t, err)
	r.publish(1, 3)
	for n := range 3 {
		m, err := durable.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		if n != 1 {
			require.NoError(t, m.DoubleAck(ctx))
		}
	}
	for _, dry := range []bool{true, false} {
		sought, err := r.durables.Seek(ctx, "team", adminapi.ConsumerPosition{Sequence: 2}, true)
		require.NoError(t, err)
		require.Equal(t, adminapi.ConsumerSeek{From: 4, To: 2}, sought, "the second comes again")
		sought, err = r.durables.Seek(ctx, "team", adminapi.ConsumerPosition{Sequence: 3}, dry)
		require.NoError(t, err)
		require.Equal(t, adminapi.ConsumerSeek{From: 4, To: 3, Left: 1}, sought)
	}
}

// The position that a consumer was set back to survives its durable.
func TestDurableRemovedAfterSeek(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	r.publish(1, 3)
	r.run(consumers.Config{Name: "team"}) // begins with the fourth event
	require.NoError(t, r.durables.Pause(ctx, "team", time.Time{}))
	_, err := r.durables.Seek(ctx, "team", adminapi.ConsumerPosition{First: true}, false)
	require.NoError(t, err)
	r.eventually(func() bool { return r.state("team").Waiting == 1 })
	require.NoError(t, r.JS.DeleteConsumer(ctx, "HOOKSPAN_EVENTS", "team"))
	r.eventually(func() bool { return r.times(1) == 1 && r.times(2) == 1 && r.times(3) == 1 })
}

func TestRemove(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	r.run(consumers.Config{Name: "team", Start: consumers.Start{All: true}})()
	r.run(consumers.Config{Name: "other"})
	r.publish(1, 2)
	ev := natstest.Event("1")
	for consumer, code := range map[string]string{"team": "404", "other": "503"} {
		for _, m := range []*nats.Msg{
			{Header: nats.Header{"Status": {code}, "Nats-Num-Pending": {"7"}}}, // nats.go takes it for an answer of the server
			{Header: nats.Header(ev.Header()), Data: ev.Body},
		} {
			m.Subject = r.Names.Later(consumer, ev.ID, len(m.Data))
			_, err := r.JS.PublishMsg(ctx, m,
				jetstream.WithScheduleAt(time.Now().Add(time.Hour)), jetstream.WithScheduleTarget(r.Names.Due(consumer, "x")))
			require.NoError(t, err)
		}
		_, err := r.JS.Publish(ctx, r.Names.AttemptsSubject(r.Names.AttemptsPrefix(consumer)+"key"), []byte("{}"))
		require.NoError(t, err)
		_, err = r.JS.Publish(ctx, r.Names.Dead(consumer, "x"), nil)
		require.NoError(t, err)
	}
	want := adminapi.RemovedConsumer{Unsettled: 2, Later: 2, Remembered: 1, Dead: 1}
	removed, err := r.durables.Remove(ctx, "team", true)
	require.NoError(t, err)
	require.Equal(t, want, removed)
	require.EqualValues(t, 2, r.state("team").Later)
	removed, err = r.durables.Remove(ctx, "team", false)
	require.NoError(t, err)
	require.Equal(t, want, removed)

	list, err := r.durables.List(ctx)
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, adminapi.ConsumerState{Name: "configured", Kind: "archive", Missing: true, State: consumerstate.Missing}, list[0])
	require.Equal(t, "other", list[1].Name)
	require.EqualValues(t, 2, list[1].Later)
	require.EqualValues(t, 1, list[1].Dead)
	require.EqualValues(t, 2, r.Messages(t, "HOOKSPAN_DEAD"), "dead letters stay")
	require.EqualValues(t, 1, r.Messages(t, "KV_HOOKSPAN_ATTEMPTS"))

	_, err = r.durables.Remove(ctx, "team", false)
	require.ErrorIs(t, err, adminapi.ErrNoConsumer)
	_, err = r.durables.Remove(ctx, "configured", false)
	require.ErrorIs(t, err, adminapi.ErrConfigured)
}

// A server that does not count waiting events blocks no caller for ever.
func TestListWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	require.NoError(t, r.JS.DeleteStream(ctx, "HOOKSPAN_LATER"))
	list, err := r.durables.List(ctx)
	require.NoError(t, err)
	require.Zero(t, list[0].Later, "a server that has no message schedules")
	silent, err := r.NC.SubscribeSync("$JS.API.DIRECT.GET.HOOKSPAN_LATER")
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Unsubscribe()) }()
	listed := make(chan error, 1)
	go func() {
		_, err := r.durables.List(ctx)
		listed <- err
	}()
	select {
	case err := <-listed:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(patience):
		t.Fatal("it waits for ever")
	}
}

type heard chan bridge.Alarm

func (h heard) Raise(a bridge.Alarm) { h <- a }

// When the advisory of an exhausted event is lost, an alarm is raised at least.
func TestExhaustedWithoutADeadLetter(t *testing.T) {
	t.Parallel()
	r := setup(t)
	ctx := context.Background()
	durable, err := r.JS.CreateConsumer(ctx, "HOOKSPAN_EVENTS", jetstream.ConsumerConfig{
		Durable: "search-team", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 2, DeliverPolicy: jetstream.DeliverAllPolicy,
	})
	require.NoError(t, err)
	r.publish(1, 1)
	for range 2 {
		m, err := durable.Next(jetstream.FetchMaxWait(patience))
		require.NoError(t, err)
		require.NoError(t, m.Nak())
	}
	alarms := make(heard, 1)
	w := durables.NewWatch(r.durables, durables.WatchConfig{Alarms: alarms})
	r.eventually(func() bool {
		none, err := durable.FetchNoWait(1)
		require.NoError(t, err)
		require.Empty(t, none.Messages())
		require.NoError(t, w.Look(ctx))
		return len(alarms) == 1
	})
	alarm := <-alarms
	require.Equal(t, bridge.AlarmExhausted, alarm.Kind)
	require.Equal(t, "search-team", alarm.Subject)
	for _, c := range w.Collectors() {
		require.Equal(t, 2, testutil.CollectAndCount(c), "configured and search-team")
	}
}
