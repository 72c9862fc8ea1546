package consumers

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
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

// Messages that nats.go takes for words of the server become dead letters, and hold up no event.
func TestStatusHeadersHoldNothingUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	headers := natstest.StatusHeaders()
	for i, h := range headers {
		_, err := b.JS.PublishMsg(context.Background(), &nats.Msg{Subject: b.Names.Event("get3w", "completed", strconv.Itoa(i)), Header: h})
		require.NoError(t, err)
	}
	got := make(chan *bridge.Event, 1)
	b.run(func(_ context.Context, ev *bridge.Event) error {
		got <- ev
		return nil
	}, Config{})
	b.publish("pred_1")
	require.Equal(t, "pred_1", next(t, got).PredictionID)
	require.Eventually(t, func() bool {
		info := b.info("team")
		return info.NumAckPending == 0 && info.AckFloor.Stream == uint64(len(headers)+1)
	}, patience, time.Millisecond)
	require.Zero(t, b.info("team").NumRedelivered)
	require.EqualValues(t, len(headers), b.Messages(t, "HOOKSPAN_DEAD"))
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
