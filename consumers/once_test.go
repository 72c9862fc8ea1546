package consumers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/natstest"
)

// publishAgain sends a copy of the event to one consumer.
func (b *bench) publishAgain(consumer string, ev *bridge.Event, n string) {
	b.t.Helper()
	m := eventMessage(b.Names, ev)
	m.Subject = b.Names.Again(consumer, m.Subject)
	m.Header.Set(bridge.HeaderMsgID, bridge.AgainID(consumer, ev.ID, n))
	_, err := b.JS.PublishMsg(context.Background(), m)
	require.NoError(b.t, err)
}

func (b *bench) onceRecord(consumer string, ev *bridge.Event) (attemptrecord.Record, uint64) {
	b.t.Helper()
	l, err := attemptrecord.Open(context.Background(), b.JS, b.Names, consumer, time.Hour)
	require.NoError(b.t, err)
	r, revision, err := l.Load(context.Background(), attemptrecord.OnceKey(ev))
	require.NoError(b.t, err)
	return r, revision
}

func TestOnceNeverRunsAFinishedEventAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls atomic.Int32
	b.run(func(context.Context, *bridge.Event) error {
		calls.Add(1)
		return nil
	}, Config{Once: true})
	ev := natstest.Event("pred_1")
	b.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	b.publishAgain("team", ev, "1")
	require.Equal(t, "+ACK", next(t, wire))
	require.EqualValues(t, 1, calls.Load())
	r, _ := b.onceRecord("team", ev)
	require.Equal(t, attemptrecord.Record{Event: ev.ID, State: attemptrecord.Done}, r)
}

func TestOnceCountsFailuresAndFinishes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var seen []Attempt
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		seen = append(seen, AttemptOf(ctx))
		if len(seen) < 3 {
			return errors.New("not yet")
		}
		return nil
	}, Config{Once: true, Retry: fast})
	b.publish("pred_1")
	require.Contains(t, next(t, wire), "-NAK")
	require.Contains(t, next(t, wire), "-NAK")
	require.Equal(t, "+ACK", next(t, wire))
	for i, a := range seen {
		require.Equal(t, i+1, a.Number)
		require.False(t, a.Repeat, "a failed attempt is no repeat")
	}
	require.Equal(t, seen[1].First.UnixMilli(), seen[2].First.UnixMilli())
}

// Events that the bridge itself makes of a prediction do not conflict with its status.
func TestOnceTakesArchivedEventsOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.run(func(_ context.Context, ev *bridge.Event) error {
		_, err := ev.Archived()
		return err
	}, Config{Once: true, Filter: bridge.Filter{Event: bridge.KindArchived}})
	b.publish("pred_1") // which it does not read
	for _, sum := range []string{"a", "b"} {
		ev := natstest.Event("pred_1")
		ev.ID, ev.Type, ev.Body = bridge.NewEventID("pred_1", "archived", []byte(sum)), bridge.TypeArchived, []byte("{}")
		_, err := b.Publish(context.Background(), ev)
		require.NoError(t, err)
		require.Equal(t, "+ACK", next(t, wire))
	}
}

// A second event about the same status is not handled, in every state of the first one.
func TestOnceMakesAConflictADeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls atomic.Int32
	b.run(func(context.Context, *bridge.Event) error {
		calls.Add(1)
		return nil
	}, Config{Once: true})
	b.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	other := natstest.Event("pred_1")
	other.ID = bridge.NewEventID("pred_1", bridge.StatusCompleted, []byte("something else"))
	_, err := b.Publish(context.Background(), other)
	require.NoError(t, err)
	require.Equal(t, "+TERM conflict", next(t, wire))
	dead, err := bridge.DecodeDeadLetter(bridge.Header(b.deadLetters("team", 1)[0].Headers()))
	require.NoError(t, err)
	require.Equal(t, bridge.DeadConflict, dead.Cause)
	require.Contains(t, dead.Error, natstest.Event("pred_1").ID)
	require.EqualValues(t, 1, calls.Load())
	r, _ := b.onceRecord("team", other)
	require.Equal(t, natstest.Event("pred_1").ID, r.Event, "what was done is still known")
}

// A redriven event has its attempts and its time anew, with any earlier record.
func TestRedrivenEventBeginsAnew(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		b := setup(t)
		wire := b.verdicts("team")
		ev, long := natstest.Event("pred_1"), time.Now().Add(-time.Hour).UTC()
		l, err := attemptrecord.Open(context.Background(), b.JS, b.Names, "team", time.Hour)
		require.NoError(t, err)
		key := attemptrecord.EventKey(ev.ID)
		if once {
			key = attemptrecord.OnceKey(ev)
		}
		dead := attemptrecord.Record{Event: ev.ID, State: attemptrecord.Dead, Failures: 7, First: long, Attempts: []bridge.FailedAttempt{{At: long, Took: 1}}}
		require.NoError(t, l.Put(context.Background(), key, dead))
		seen := make(chan Attempt, 3)
		b.run(func(ctx context.Context, _ *bridge.Event) error {
			a := AttemptOf(ctx)
			seen <- a
			if a.Number < 3 {
				return errors.New("not yet")
			}
			return nil
		}, Config{Once: once, Retry: fast})
		b.publishAgain("team", ev, "1")
		first, second, third := next(t, seen), next(t, seen), next(t, seen)
		for i, a := range []Attempt{first, second, third} {
			require.Equal(t, i+1, a.Number)
			require.True(t, a.First.After(long), "%v", a.First)
		}
		require.Zero(t, first.FirstFailed)
		require.False(t, second.FirstFailed.Before(second.First))
		require.Equal(t, second.FirstFailed, third.FirstFailed, "that of the first attempt is kept")
		require.Contains(t, next(t, wire), "-NAK")
		require.Contains(t, next(t, wire), "-NAK")
		require.Equal(t, "+ACK", next(t, wire))
	}
}

// A process that was killed in the middle leaves its claim behind.
func TestOnceRepeatsAnAttemptThatWasKilled(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	ev := natstest.Event("pred_1")
	l, err := attemptrecord.Open(context.Background(), b.JS, b.Names, "team", time.Hour)
	require.NoError(t, err)
	claim := attemptrecord.Record{Event: ev.ID, State: attemptrecord.Running, Seq: 99, Delivery: 1, At: time.Now().Add(-time.Hour)}
	_, err = l.Swap(context.Background(), attemptrecord.OnceKey(ev), claim, 0)
	require.NoError(t, err)
	seen := make(chan Attempt, 1)
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		seen <- AttemptOf(ctx)
		return nil
	}, Config{Once: true, Lease: time.Second})
	b.publish("pred_1")
	require.True(t, next(t, seen).Repeat)
	for text := next(t, wire); text != "+ACK"; text = next(t, wire) {
		require.Contains(t, text, "-NAK")
	}
}

// A claim of a process whose clock is an hour behind is its own for as long as it renews it.
func TestOnceLeavesTheClaimOfASlowClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	ev := natstest.Event("pred_1")
	l, err := attemptrecord.Open(context.Background(), b.JS, b.Names, "team", time.Hour)
	require.NoError(t, err)
	var revision uint64
	renew := func() {
		revision, err = l.Swap(context.Background(), attemptrecord.OnceKey(ev), attemptrecord.Record{
			Event: ev.ID, State: attemptrecord.Running, Seq: 99, Delivery: 1, At: time.Now().Add(-time.Hour),
		}, revision)
		require.NoError(t, err)
	}
	renew()
	var calls atomic.Int32
	b.run(func(context.Context, *bridge.Event) error { calls.Add(1); return nil }, Config{Once: true, Lease: time.Second})
	b.publish("pred_1")
	for range claimLeases + 2 {
		require.Contains(t, next(t, wire), "-NAK")
		renew()
	}
	require.Zero(t, calls.Load())
	for text := next(t, wire); text != "+ACK"; text = next(t, wire) {
		require.Contains(t, text, "-NAK")
	}
	require.EqualValues(t, 1, calls.Load())
}

// Another copy of an event that is being handled waits, and finds it done.
func TestOnceHandlesOneCopyAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls atomic.Int32
	entered, leave := make(chan struct{}, 2), make(chan struct{})
	b.run(func(context.Context, *bridge.Event) error {
		calls.Add(1)
		entered <- struct{}{}
		<-leave
		return nil
	}, Config{Once: true, Concurrency: 2, Lease: time.Second})
	b.publish("pred_1")
	next(t, entered)
	b.publishAgain("team", natstest.Event("pred_1"), "1")
	text := next(t, wire)
	for n := 0; text == "+WPI" && n < 30; n++ {
		text = next(t, wire)
	}
	require.Contains(t, text, "-NAK", "or both of them are handled")
	close(leave)
	for acks := 0; acks < 2; {
		if next(t, wire) == "+ACK" {
			acks++
		}
	}
	require.EqualValues(t, 1, calls.Load())
}

// An attempt whose claim was taken over ends, and does not say that it is done.
func TestOnceLosesItsClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ev := natstest.Event("pred_1")
	wire := b.verdicts("team")
	var calls atomic.Int32
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		if calls.Add(1) > 1 {
			return nil
		}
		r, revision := b.onceRecord("team", ev)
		l, err := attemptrecord.Open(ctx, b.JS, b.Names, "team", time.Hour)
		if err != nil {
			return err
		}
		r.Delivery = 0 // by whoever had it delivered a second time
		_, err = l.Swap(ctx, attemptrecord.OnceKey(ev), r, revision)
		return err
	}, Config{Once: true, Lease: time.Second})
	b.publish("pred_1")
	// The first attempt says nothing; the lease ends, and the event comes again.
	require.Equal(t, "+ACK", next(t, wire))
	require.EqualValues(t, 2, calls.Load())
}

// A claim that was renewed without the attempt being told so is still its own.
func TestOnceKeepsAClaimWhoseRenewalWasNotAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls atomic.Int32
	ev := natstest.Event("pred_1")
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		calls.Add(1)
		r, revision := b.onceRecord("team", ev)
		l, err := attemptrecord.Open(ctx, b.JS, b.Names, "team", time.Hour)
		if err != nil {
			return err
		}
		_, err = l.Swap(ctx, attemptrecord.OnceKey(ev), r, revision)
		return err
	}, Config{Once: true, Lease: time.Second})
	b.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	require.EqualValues(t, 1, calls.Load())
	r, _ := b.onceRecord("team", ev)
	require.Equal(t, attemptrecord.Record{Event: ev.ID, State: attemptrecord.Done}, r)
}

// Without knowing whether it was handled, nothing is handled.
func TestOnceWaitsForTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ev := natstest.Event("pred_1")
	_, err := b.JS.Publish(context.Background(), b.Names.AttemptsSubject(b.Names.AttemptsPrefix("team")+attemptrecord.OnceKey(ev)), []byte("damaged"))
	require.NoError(t, err)
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error {
		t.Error("it was called")
		return nil
	}, Config{Once: true})
	b.publish("pred_1")
	require.Contains(t, next(t, wire), "-NAK")
}

// poisoned delivers an event as often as one that kills its process would be.
func (b *bench) poisoned(cfg Config, deliveries int) {
	b.t.Helper()
	cfg.Name, cfg.Start = "team", Start{All: true}
	_, err := cfg.durable().Provision(context.Background(), b.JS)
	require.NoError(b.t, err)
	c, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", "team")
	require.NoError(b.t, err)
	b.publish("pred_1")
	for range deliveries {
		m, err := c.Next()
		require.NoError(b.t, err)
		require.NoError(b.t, m.Nak()) // nobody records a verdict
	}
	_, err = c.Info(context.Background())
	require.NoError(b.t, err)
}

func TestPoisonIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.poisoned(Config{}, maxUnsettled)
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error {
		t.Error("it was called once more")
		return nil
	}, Config{})
	require.Equal(t, "+TERM poison", next(t, wire))
	dead, err := bridge.DecodeDeadLetter(bridge.Header(b.deadLetters("team", 1)[0].Headers()))
	require.NoError(t, err)
	require.Equal(t, bridge.FaultPoison, dead.Fault)
}

func TestAlmostPoisonIsARepeat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.poisoned(Config{}, maxUnsettled-1)
	wire := b.verdicts("team")
	seen := make(chan Attempt, 1)
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		seen <- AttemptOf(ctx)
		return nil
	}, Config{})
	require.Equal(t, "+ACK", next(t, wire))
	a := next(t, seen)
	require.True(t, a.Repeat)
	require.Equal(t, 1, a.Number)
}

func TestSnoozeIsNoAttempt(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{false, true} {
		b := setup(t)
		wire := b.verdicts("team")
		calls := 0
		b.run(func(ctx context.Context, _ *bridge.Event) error {
			if calls++; calls <= maxUnsettled+1 {
				return Snooze(errors.New("the target is away"), time.Millisecond)
			}
			if a := AttemptOf(ctx); a.Number != 1 || a.Repeat {
				t.Errorf("it is attempt %+v", a)
			}
			return nil
		}, Config{Once: once})
		b.publish("pred_1")
		for range maxUnsettled + 1 {
			require.Contains(t, next(t, wire), "-NAK")
		}
		require.Equal(t, "+ACK", next(t, wire))
	}
}

// A deploy in the middle of an attempt makes the next one a repeat, and is no crash,
// however many there are.
func TestOnceSurvivesManyDeploys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.publish("pred_1")
	for deploy := range maxUnsettled + 1 {
		entered := make(chan Attempt, 1)
		stop := b.run(func(ctx context.Context, _ *bridge.Event) error {
			entered <- AttemptOf(ctx)
			<-ctx.Done()
			return ctx.Err()
		}, Config{Once: true, Grace: time.Nanosecond})
		require.Equal(t, deploy > 0, next(t, entered).Repeat)
		require.NoError(t, stop())
		require.Equal(t, "-NAK", next(t, wire))
	}
	b.run(func(context.Context, *bridge.Event) error { return nil }, Config{Once: true})
	require.Equal(t, "+ACK", next(t, wire))
}
