package consumers

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/attemptrecord"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that must happen.
const patience = time.Minute

// fast makes failed events come again at once.
var fast = Retry{First: time.Millisecond, Max: time.Millisecond}

type bench struct {
	*natstest.Streams
	t    *testing.T
	logs *observer.ObservedLogs
	log  *slog.Logger
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{Streams: natstest.Start(t), t: t}
	core, logs := observer.New(zap.DebugLevel)
	b.logs, b.log = logs, slog.New(zapslog.NewHandler(core))
	return b
}

func (b *bench) publish(ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		_, err := b.Publish(context.Background(), natstest.Event(id))
		require.NoError(b.t, err)
	}
}

// run runs a consumer that begins with everything; stop ends it and returns what Run returned.
func (b *bench) run(h HandlerFunc, cfg Config) (stop func() error) {
	b.t.Helper()
	return b.runTuned(h, cfg, func(*Consumer) {})
}

func (b *bench) runTuned(h Handler, cfg Config, tune func(*Consumer)) (stop func() error) {
	b.t.Helper()
	if cfg.Name == "" {
		cfg.Name = "team"
	}
	if cfg.Start == (Start{}) {
		cfg.Start = Start{All: true}
	}
	cfg.Logger = b.log
	c, err := New(b.JS, h, cfg)
	require.NoError(b.t, err)
	tune(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	b.t.Cleanup(func() { _ = stop() })
	return stop
}

// verdicts returns what the server is told of each event, as it is on the wire.
func (b *bench) verdicts(consumer string) <-chan string {
	b.t.Helper()
	out := make(chan string, 1000)
	sub, err := b.NC.Subscribe("$JS.ACK.HOOKSPAN_EVENTS."+consumer+".>", func(m *nats.Msg) { out <- string(m.Data) })
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return out
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("it never happened")
		panic("unreachable")
	}
}

// letters reads n dead letters of a consumer.
func (b *bench) deadLetters(consumer string, n int) []jetstream.Msg {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := b.JS.OrderedConsumer(ctx, "HOOKSPAN_DEAD", jetstream.OrderedConsumerConfig{FilterSubjects: []string{b.Names.AllDead(consumer)}})
	require.NoError(b.t, err)
	it, err := c.Messages()
	require.NoError(b.t, err)
	defer it.Stop()
	var out []jetstream.Msg
	for range n {
		m, err := it.Next(jetstream.NextContext(ctx))
		require.NoError(b.t, err)
		out = append(out, m)
	}
	return out
}

func (b *bench) record(consumer, event string) attemptrecord.Record {
	b.t.Helper()
	l, err := attemptrecord.Open(context.Background(), b.JS, b.Names, consumer, time.Hour)
	require.NoError(b.t, err)
	r, _, err := l.Load(context.Background(), attemptrecord.EventKey(event))
	require.NoError(b.t, err)
	return r
}

func (b *bench) info(consumer string) *jetstream.ConsumerInfo {
	b.t.Helper()
	c, err := b.JS.Consumer(context.Background(), "HOOKSPAN_EVENTS", consumer)
	require.NoError(b.t, err)
	return c.CachedInfo()
}

func TestDoneIsAcknowledged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	got := make(chan *bridge.Event, 1)
	b.run(func(_ context.Context, ev *bridge.Event) error {
		got <- ev
		return nil
	}, Config{})
	b.publish("pred_1")
	ev := next(t, got)
	require.Equal(t, "pred_1", ev.PredictionID)
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", ev.Subject)
	require.EqualValues(t, 1, ev.Sequence)
	p, err := ev.Prediction()
	require.NoError(t, err)
	require.Equal(t, "get3w/flux-dev", p.Model)
	require.Equal(t, "+ACK", next(t, wire))
	require.EqualValues(t, 0, b.Messages(t, "KV_HOOKSPAN_ATTEMPTS"), "success is not recorded")
}

func TestFailureComesAgainAndIsCounted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	id := natstest.Event("pred_1").ID
	var calls int
	var seen []attemptrecord.Record
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		calls++
		seen = append(seen, b.record("team", id))
		Note(ctx, "try")
		if calls <= 2 {
			return errors.New("not yet")
		}
		return nil
	}, Config{Retry: Retry{First: 40 * time.Millisecond, Max: 40 * time.Millisecond}})
	b.publish("pred_1")
	for range 2 {
		require.Regexp(t, `^-NAK \{"delay": ?[234]\d{7}\}$`, next(t, wire))
	}
	require.Equal(t, "+ACK", next(t, wire))
	require.Equal(t, []int{0, 1, 2}, []int{seen[0].Failures, seen[1].Failures, seen[2].Failures})
	require.Len(t, seen[2].Attempts, 2)
	require.Equal(t, "not yet", seen[2].Attempts[0].Error)
	require.Equal(t, "try", seen[2].Attempts[0].Note)
	require.Equal(t, seen[2].First, seen[2].Attempts[0].At)
	b.eventually(func() bool { return b.record("team", id).Failures == 0 }, "a finished event is forgotten")
}

// eventually asks again until it is so; nothing announces what the server does by itself.
func (b *bench) eventually(so func() bool, what string) {
	b.t.Helper()
	require.Eventually(b.t, so, patience, 5*time.Millisecond, what)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls int
	b.run(func(context.Context, *bridge.Event) error {
		calls++
		if calls == 1 {
			return RetryAfter(errors.New("busy"), 70*time.Millisecond)
		}
		return nil
	}, Config{})
	b.publish("pred_1")
	require.Regexp(t, `^-NAK \{"delay": ?70000000\}$`, next(t, wire))
	require.Equal(t, "+ACK", next(t, wire))
}

func TestPermanentIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.run(func(ctx context.Context, _ *bridge.Event) error {
		Note(ctx, "looked at it")
		return Permanent(errors.New("no such order\n\"7\""))
	}, Config{})
	b.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, wire))

	e := natstest.Event("pred_1")
	m := b.deadLetters("team", 1)[0]
	require.Equal(t, "hookspan.dead.team.get3w.prediction.completed.get3w.flux-dev", m.Subject())
	require.Equal(t, e.Body, m.Data())
	h := bridge.Header(m.Headers())
	require.Equal(t, "dead:team:"+e.ID+":0", h.Get("Nats-Msg-Id"))
	require.Equal(t, "permanent", h.Get("hookspan-dead-cause"))
	require.Equal(t, "1", h.Get("hookspan-dead-attempts"))
	require.Equal(t, "1", h.Get("hookspan-dead-seq"))
	require.Equal(t, "hookspan.events.get3w.prediction.completed.get3w.flux-dev", h.Get("hookspan-dead-subject"))
	text, err := h.Value("hookspan-dead-error")
	require.NoError(t, err)
	require.Equal(t, "no such order\n\"7\"", text)
	text, err = h.Value("hookspan-dead-history")
	require.NoError(t, err)
	require.Contains(t, text, "looked at it")
	got, err := bridge.DecodeEvent(h, m.Data())
	require.NoError(t, err)
	require.Equal(t, e.ID, got.ID)
}

// An event that was stored in a batch is an event like any other: its dead letter is
// not taken for a part of that batch.
func TestDeadLetterIsNoPartOfABatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e := natstest.Event("pred_1")
	header := nats.Header(e.Header())
	header["Nats-Msg-Id"] = []string{e.MsgID()}
	header["Nats-Batch-Id"] = []string{"batch"}
	header["Nats-Batch-Sequence"] = []string{"1"}
	header["Nats-Batch-Commit"] = []string{"1"}
	answer, err := b.NC.RequestMsgWithContext(ctx, &nats.Msg{Subject: b.Names.Event(e.Source, e.Status, e.Model), Header: header, Data: e.Body})
	require.NoError(t, err)
	require.Contains(t, string(answer.Data), `"count":1`)

	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
	require.Equal(t, "+TERM permanent", next(t, wire))
	dead := b.deadLetters("team", 1)[0]
	require.Equal(t, e.Body, dead.Data())
	for key := range dead.Headers() {
		require.NotContains(t, key, "Nats-Batch")
	}
}

func TestGivingUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return errors.New("never") },
		Config{Retry: Retry{First: time.Millisecond, Max: time.Millisecond, GiveUpAfter: time.Nanosecond}})
	b.publish("pred_1")
	require.Equal(t, "+TERM exhausted", next(t, wire))
	require.Equal(t, "exhausted", b.deadLetters("team", 1)[0].Headers().Get("hookspan-dead-cause"))
}

func TestGivingUpTellsEveryAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls int
	b.run(func(context.Context, *bridge.Event) error {
		calls++
		if calls == 20 {
			return Permanent(errors.New("last"))
		}
		return errors.New("attempt " + strings.Repeat("é", calls))
	}, Config{Retry: fast})
	b.publish("pred_1")
	for range 19 {
		require.Contains(t, next(t, wire), "-NAK")
	}
	require.Equal(t, "+TERM permanent", next(t, wire))
	h := bridge.Header(b.deadLetters("team", 1)[0].Headers())
	require.Equal(t, "20", h.Get("hookspan-dead-attempts"))
	text, err := h.Value("hookspan-dead-history")
	require.NoError(t, err)
	require.Contains(t, text, `"attempt é"`, "the first is kept")
	require.Contains(t, text, `"last"`)
	require.Equal(t, attemptrecord.MaxAttempts, strings.Count(text, `"at"`))
	b.eventually(func() bool { return b.record("team", natstest.Event("pred_1").ID).Failures == 0 }, "a dead event is forgotten")
}

func TestUndecodableIsADeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	for _, body := range []string{"one", "two"} {
		_, err := b.JS.Publish(context.Background(), "hookspan.events.get3w.prediction.completed.x", []byte(body))
		require.NoError(t, err)
	}
	b.run(func(context.Context, *bridge.Event) error {
		t.Error("the handler is called with no event")
		return nil
	}, Config{})
	for range 2 {
		require.Equal(t, "+TERM undecodable", next(t, wire))
	}
	for i, m := range b.deadLetters("team", 2) {
		require.Equal(t, []string{"one", "two"}[i], string(m.Data()))
		require.Contains(t, m.Headers().Get("hookspan-dead-error"), "ce-id")
	}
}

func TestPanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	var calls int
	b.run(func(context.Context, *bridge.Event) error {
		calls++
		if calls == 1 {
			panic("boom")
		}
		return nil
	}, Config{Retry: fast})
	b.publish("pred_1")
	require.Contains(t, next(t, wire), "-NAK")
	require.Equal(t, "+ACK", next(t, wire))
	lines := b.logs.FilterMessage("handler panicked").All()
	require.Len(t, lines, 1)
	require.Contains(t, lines[0].ContextMap()["stack"], "consumers_test.go")
}

// A dead letter that cannot be stored must not end the event.
func TestWithoutDeadLetterTheEventStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	dead, err := b.JS.Stream(ctx, "HOOKSPAN_DEAD")
	require.NoError(t, err)
	require.NoError(t, b.JS.DeleteStream(ctx, "HOOKSPAN_DEAD"))
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{Retry: fast})
	b.publish("pred_1")
	require.Contains(t, next(t, wire), "-NAK")
	_, err = b.JS.CreateStream(ctx, dead.CachedInfo().Config)
	require.NoError(t, err)
	for text := ""; text != "+TERM permanent"; text = next(t, wire) {
		require.NotContains(t, text, "+ACK")
	}
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_DEAD"))
}

// The stream may know the id of a dead letter that it does not have: another program may have
// used the id, or removed the dead letter.
func TestDeadLetterIsThereWhateverTheStreamSays(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, prepare := range map[string]func(b *bench, id string){
		"used by another": func(b *bench, id string) {
			_, err := b.JS.Publish(ctx, "hookspan.dead.other.x", nil, jetstream.WithMsgID(id))
			require.NoError(t, err)
		},
		"removed": func(b *bench, id string) {
			_, err := b.JS.Publish(ctx, "hookspan.dead.team.x", nil, jetstream.WithMsgID(id))
			require.NoError(t, err)
			st, err := b.JS.Stream(ctx, "HOOKSPAN_DEAD")
			require.NoError(t, err)
			require.NoError(t, st.Purge(ctx))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			prepare(b, "dead:team:"+natstest.Event("pred_1").ID+":0")
			wire := b.verdicts("team")
			b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
			b.publish("pred_1")
			require.Equal(t, "+TERM permanent", next(t, wire))
			require.Equal(t, natstest.Event("pred_1").Body, b.deadLetters("team", 1)[0].Data())
		})
	}
}

// An attempt that cannot be recorded does not make its event come again fast.
func TestFullLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	require.NoError(t, b.JS.DeleteStream(ctx, "KV_HOOKSPAN_ATTEMPTS"))
	_, err := b.JS.CreateStream(ctx, jetstream.StreamConfig{
		Name: "KV_HOOKSPAN_ATTEMPTS", Subjects: []string{"$KV.HOOKSPAN_ATTEMPTS.>"}, MaxMsgsPerSubject: 1, MaxBytes: 1, Discard: jetstream.DiscardNew, AllowMsgTTL: true, AllowDirect: true,
	})
	require.NoError(t, err)
	wire := b.verdicts("team")
	b.run(func(context.Context, *bridge.Event) error { return errors.New("no") }, Config{Retry: Retry{First: time.Millisecond, Max: time.Minute}})
	b.publish("pred_1")
	require.Regexp(t, `^-NAK \{"delay": ?[3-6]\d{10}\}$`, next(t, wire), "half of Max at least")
}

// A crash between the dead letter and the end of the delivery buries it again.
func TestBuriedTwiceIsOneDeadLetter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wire := b.verdicts("team")
	stop := b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
	b.publish("pred_1")
	require.Equal(t, "+TERM permanent", next(t, wire))
	require.NoError(t, stop())
	require.NoError(t, b.JS.DeleteConsumer(context.Background(), "HOOKSPAN_EVENTS", "team"))
	b.run(func(context.Context, *bridge.Event) error { return Permanent(errors.New("no")) }, Config{})
	require.Equal(t, "+TERM permanent", next(t, wire))
	require.EqualValues(t, 1, b.Messages(t, "HOOKSPAN_DEAD"))
}
