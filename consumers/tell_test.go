package consumers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// toldOn returns the attempts and the blocks that a consumer tells of on the subject.
func toldOn(t testing.TB, nc *nats.Conn, subject string) (attempts <-chan bridge.Attempt, blocks <-chan int) {
	t.Helper()
	out, sizes := make(chan bridge.Attempt, 20_000), make(chan int, 20_000)
	sub, err := nc.Subscribe(subject, func(m *nats.Msg) {
		block, err := bridge.DecodeAttempts(m.Data)
		if err != nil {
			t.Errorf("a block cannot be read: %v", err)
		}
		sizes <- len(block)
		for _, a := range block {
			out <- a
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return out, sizes
}

func (b *bench) told() <-chan bridge.Attempt {
	b.t.Helper()
	out, _ := toldOn(b.t, b.NC, b.Names.AttemptsTold("team"))
	return out
}

// soon tells of attempts at once; hardly tells of them only when a block is full, or at the end.
func soon(c *Consumer)   { c.teller.every = time.Millisecond }
func hardly(c *Consumer) { c.teller.every = time.Hour }

// Each attempt is told once, with what became of its event.
func TestAttemptsAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.move()
	told := b.told()
	b.runTuned(HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
		number := AttemptOf(ctx).Number
		switch {
		case ev.PredictionID == "dead":
			return Permanent(errors.New("no"))
		case ev.PredictionID == "snoozed" && number == 1 && ev.Subject != "" && !b.Names.IsAgain(ev.Subject):
			return Snooze(errors.New("away"), time.Second)
		case ev.PredictionID == "retried" && number < 3:
			return RetryAfter(fmt.Errorf("not yet %d", number), time.Second)
		}
		return nil
	}), Config{Filter: bridge.Filter{Model: "*flux-dev"}}, func(c *Consumer) { sooner(c); soon(c) })
	began := time.Now()
	ids := []string{"done", "dead", "snoozed", "retried"}
	b.publish(ids...)
	other := natstest.Event("other")
	other.Model = "get3w/other"
	_, err := b.Publish(t.Context(), other)
	require.NoError(t, err)

	got := map[string][]bridge.Attempt{}
	for range 8 {
		a := next(t, told)
		got[a.Prediction] = append(got[a.Prediction], a)
	}
	require.Empty(t, told)
	verdicts := map[string]string{}
	for id, attempts := range got {
		for _, a := range attempts {
			verdicts[id] += fmt.Sprintf("%d %s %s, ", a.Try, a.Verdict, a.Error)
			require.Equal(t, natstest.Event(id).Source, a.Source)
			require.Contains(t, a.Event, id+"/completed/")
			require.WithinRange(t, a.At, began, time.Now())
			require.Equal(t, a.Verdict == "retry" || a.Verdict == "snoozed", !a.Next.IsZero())
			if !a.Next.IsZero() {
				require.WithinRange(t, a.Next, a.At.Add(time.Second), time.Now().Add(time.Second))
			}
			require.EqualValues(t, 1+indexOf(append(ids, "other"), id), a.Sequence, "copies have the sequence of their event")
		}
	}
	require.Equal(t, map[string]string{
		"done": "1 done , ", "dead": "1 dead no, ", "other": "0 skipped , ",
		"snoozed": "1 snoozed away, 1 done , ", "retried": "1 retry not yet 1, 2 retry not yet 2, 3 done , ",
	}, verdicts)
}

func indexOf(list []string, s string) int {
	for i, v := range list {
		if v == s {
			return i
		}
	}
	return -1
}

// Dead letters that are made without calling the handler are told, an event that was done before
// is not told again.
func TestToldWithoutAHandler(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told := b.told()
	b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Once: true}, soon)
	first := natstest.Event("pred_1")
	second := natstest.Event("pred_1")
	second.ID, second.Body = "pred_1/completed/other", []byte(`{"id":"pred_1","status":"completed","outputs":["other"]}`)
	for _, ev := range []*bridge.Event{first, second} {
		_, err := b.Publish(t.Context(), ev)
		require.NoError(t, err)
	}
	m := eventMessage(b.Names, first)
	m.Subject = b.Names.Again("team", m.Subject)
	m.Header[bridge.HeaderMsgID] = []string{"again"}
	_, err := b.JS.PublishMsg(t.Context(), m)
	require.NoError(t, err)
	b.publish("pred_2")
	var got []string
	for range 3 {
		a := next(t, told)
		got = append(got, fmt.Sprintf("%s %d %s", a.Event, a.Try, a.Verdict))
	}
	require.Equal(t, []string{first.ID + " 1 done", second.ID + " 0 dead", natstest.Event("pred_2").ID + " 1 done"}, got)
}

// A dead letter that could not be stored is not told as one.
func TestUnstoredDeadLetterIsToldAsARetry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.JS.DeleteStream(t.Context(), "HOOKSPAN_DEAD"))
	told := b.told()
	b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }), Config{}, soon)
	b.publish("pred_1")
	a := next(t, told)
	require.Equal(t, "retry", a.Verdict)
	require.True(t, a.Next.After(a.At))
}

// What cannot be recorded is not counted, so nobody knows which attempt it was.
func TestBlindAttemptHasNoNumber(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told := b.told()
	c := telling(t, b.JS, soon)
	a := &attempt{consumer: c, event: natstest.Event("pred_1"), blind: true, started: time.Now(), err: errors.New("no")}
	a.info.Number = 1
	a.tell(Verdict{Action: ActionRetry}, 0)
	require.Zero(t, next(t, told).Try)
}

// A handler of another team may return anything. Nothing of it reaches a terminal, or fills the
// memory or a block.
func TestHostileErrorsAreTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told, blocks := toldOn(t, b.NC, b.Names.AttemptsTold("team"))
	const events = 300
	huge := strings.Repeat("\x1b[31m\n<&>\xff\u202e", 1<<16) // 1 MB
	stop := b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error { return RetryAfter(errors.New(huge), time.Hour) }),
		Config{Concurrency: 8}, func(c *Consumer) { hardly(c); sooner(c) })
	wire := b.verdicts("team")
	for i := range events {
		b.publish(fmt.Sprintf("pred_%d", i))
	}
	for range events {
		require.Equal(t, "+ACK", next(t, wire))
	}
	require.NoError(t, stop())
	seen := map[string]bool{}
	for range events {
		a := next(t, told)
		seen[a.Event] = true
		require.LessOrEqual(t, len(a.Error), 1<<10)
		require.True(t, strings.HasPrefix(a.Error, `\u001b[31m\n<&>�\u202e`), a.Error)
	}
	require.Len(t, seen, events)
	require.Less(t, next(t, blocks), events, "a block that is too large is halved")
}

// Stopping tells what was not told yet.
func TestStopTellsTheRest(t *testing.T) {
	t.Parallel()
	b := setup(t)
	told, wire := b.told(), b.verdicts("team")
	stop := b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{}, hardly)
	b.publish("pred_1", "pred_2")
	require.Equal(t, "+ACK", next(t, wire))
	require.Equal(t, "+ACK", next(t, wire))
	require.Empty(t, told)
	require.NoError(t, stop())
	require.Equal(t, "pred_1", next(t, told).Prediction)
	require.Equal(t, "pred_2", next(t, told).Prediction)
}

// telling returns a consumer that does not run, and its teller, which does.
func telling(t *testing.T, js jetstream.JetStream, tune func(*Consumer)) *Consumer {
	t.Helper()
	c, err := New(js, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "team"})
	require.NoError(t, err)
	tune(c)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.teller.run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return c
}

// ended is one attempt that ended.
func ended(i int) bridge.Attempt {
	ev := natstest.Event(fmt.Sprintf("pred_%d", i))
	return bridge.Attempt{Event: ev.ID, Source: ev.Source, Prediction: ev.PredictionID, Sequence: uint64(i) + 1, At: time.Now(), Try: 1, Verdict: bridge.VerdictDone}
}

// A full block is told at once. A server that takes less than a block gets smaller ones.
func TestAttemptsAreToldInBlocks(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]int32{"usual": server.MAX_PAYLOAD_SIZE, "small": 16 << 10} {
		t.Run(name, func(t *testing.T) {
			x := natstest.NewExternal(t, func(o *server.Options) { o.MaxPayload = payload })
			x.Start()
			js := x.JetStream()
			told, blocks := toldOn(t, x.JetStream().Conn(), bridge.Names{}.AttemptsTold("team"))
			c := telling(t, js, hardly)
			wrong := ended(0)
			wrong.Source = "Not A Name" // nobody can have stored its event
			c.teller.tell(wrong)
			for i := range bridge.MaxAttempts {
				c.teller.tell(ended(i))
			}
			for i := range bridge.MaxAttempts - 1 { // at least so many are in the full block
				require.Equal(t, fmt.Sprintf("pred_%d", i), next(t, told).Prediction, "in their order")
			}
			c.teller.flush()
			require.Equal(t, fmt.Sprintf("pred_%d", bridge.MaxAttempts-1), next(t, told).Prediction)
			require.InDelta(t, 1, testutil.ToFloat64(c.metrics.untold), 0)
			require.Less(t, len(blocks), 250)
		})
	}
}

// While NATS is away attempts wait, up to a limit, and whoever tells never waits.
func TestAttemptsWaitForNATS(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, func(*server.Options) {})
	x.Start()
	lost, back := make(chan struct{}, 1), make(chan struct{}, 1)
	js := x.JetStream(nats.ReconnectWait(time.Millisecond), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }), nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
	c := telling(t, js, hardly)
	x.Stop()
	next(t, lost)
	const more = 10
	for i := range maxUntold + more {
		c.teller.tell(ended(i))
	}
	c.teller.flush()
	buffered, err := js.Conn().Buffered()
	require.NoError(t, err)
	require.Zero(t, buffered, "the room of the connection is for acknowledgements")
	require.InDelta(t, more, testutil.ToFloat64(c.metrics.untold), 0)

	x.Start()
	next(t, back)
	told, _ := toldOn(t, x.JetStream().Conn(), bridge.Names{}.AttemptsTold("team"))
	c.teller.flush()
	for i := range maxUntold {
		require.Equal(t, fmt.Sprintf("pred_%d", i), next(t, told).Prediction)
	}
	require.Empty(t, told)
	require.InDelta(t, more, testutil.ToFloat64(c.metrics.untold), 0)
}

// Whoever may not tell is refused once, and handles its events.
func TestWorkerThatMayNotTell(t *testing.T) {
	t.Parallel()
	o := setupOperated(t)
	js := o.as("mute")
	wire := o.verdicts("team")
	cfg := Config{Name: "team", Start: Start{All: true}, BindOnly: true, Logger: o.log}
	_, err := cfg.durable().Provision(t.Context(), o.as("provision"))
	require.NoError(t, err)
	c, err := New(js, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), cfg)
	require.NoError(t, err)
	soon(c)
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	o.publish("pred_1")
	require.Equal(t, "+ACK", next(t, wire))
	require.ErrorIs(t, next(t, o.violations), nats.ErrPermissionViolation)
	for i := range 10 {
		o.publish(fmt.Sprintf("pred_%d", i+2))
		require.Equal(t, "+ACK", next(t, wire))
	}
	cancel()
	require.NoError(t, next(t, ran))
	require.InDelta(t, 10, testutil.ToFloat64(c.metrics.untold), 0)
	require.Empty(t, o.violations)
	require.Len(t, o.logs.FilterMessageSnippet("may not tell of attempts").All(), 1)
}

// One operation is what telling of one attempt costs, with a server and a view that listens.
func BenchmarkTell(b *testing.B) {
	x := natstest.NewExternal(b, func(*server.Options) {})
	x.Start()
	heard := make(chan int, b.N+1)
	nc := x.JetStream().Conn()
	_, err := nc.Subscribe("hookspan.attempts.*", func(m *nats.Msg) { heard <- strings.Count(string(m.Data), `"event"`) })
	require.NoError(b, err)
	require.NoError(b, nc.Flush())
	c, err := New(x.JetStream(), HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "team"})
	require.NoError(b, err)
	a := ended(1)
	b.ReportAllocs()
	for i := range b.N {
		if c.teller.tell(a); i%bridge.MaxAttempts == 0 || i == b.N-1 {
			c.teller.flush()
		}
	}
	for left := b.N; left > 0; left -= <-heard {
	}
}
