package consumers

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

// reports returns what the processes of a consumer report now, and for how long each
// report stays.
func (b *bench) reports(consumer string) (out []consumerstate.Report, ttl []string) {
	b.t.Helper()
	ctx := context.Background()
	stream, err := b.JS.Stream(ctx, b.Names.AttemptsStream())
	require.NoError(b.t, err)
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(b.Names.AttemptsSubject(b.Names.ReportKey(consumer, "*"))))
	require.NoError(b.t, err)
	for subject := range info.State.Subjects {
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		require.NoError(b.t, err)
		if r, ok := consumerstate.Decode(bridge.Header(m.Header), m.Data); ok {
			out, ttl = append(out, r), append(ttl, m.Header.Get("Nats-TTL"))
		}
	}
	return out, ttl
}

// judged is the state of a consumer of which events wait.
func (b *bench) judged() adminapi.ConsumerState {
	b.t.Helper()
	list, _ := b.reports("team")
	s := adminapi.ConsumerState{Later: 1}
	s.Judge(list)
	return s
}

// written is how many messages the stream of attempt records ever got.
func (b *bench) written() uint64 {
	b.t.Helper()
	s, err := b.JS.Stream(context.Background(), b.Names.AttemptsStream())
	require.NoError(b.t, err)
	return s.CachedInfo().State.LastSeq
}

// quick reports at once, and often.
func quick(c *Consumer) { c.reports.delay, c.reports.every = 5*time.Millisecond, 50*time.Millisecond }

// A consumer whose attempts fail says so until one succeeds. Its report goes by itself
// when its process does not live to repeat it.
func TestFailingConsumerReports(t *testing.T) {
	t.Parallel()
	b := setup(t)
	began := time.Now()
	var works atomic.Bool
	done := make(chan struct{}, 10)
	b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error {
		if works.Load() {
			done <- struct{}{}
			return nil
		}
		return errors.New("no\nroute")
	}), Config{Retry: Retry{First: 20 * time.Millisecond, Max: 20 * time.Millisecond}}, quick)
	b.publish("pred_1")
	b.eventually(func() bool { return b.judged().Failures > 2 }, "it is repeated, with the number")
	s := b.judged()
	require.Equal(t, consumerstate.Failing, s.State)
	require.Equal(t, `no\nroute`, s.Reason)
	require.WithinRange(t, s.Since, began, time.Now())
	list, ttl := b.reports("team")
	require.Len(t, list, 1)
	require.Equal(t, []string{"1m30s"}, ttl)

	works.Store(true)
	next(t, done)
	b.eventually(func() bool { return b.judged().State == consumerstate.Waiting }, "it does well again")
	b.eventually(func() bool { return b.Messages(t, "KV_HOOKSPAN_ATTEMPTS") <= 1 }, "nothing of it stays, but the mark of the attempt's record")
}

// Nothing is written while all goes well, nor for a failure between successes.
func TestWellConsumerReportsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	handled := make(chan string, 100)
	var failed atomic.Bool
	looked := make(chan any, 1000)
	_, err := b.NC.Subscribe("$KV.HOOKSPAN_ATTEMPTS.team.state.>", func(*nats.Msg) { looked <- nil })
	require.NoError(t, err)
	b.runTuned(HandlerFunc(func(_ context.Context, ev *bridge.Event) error {
		if ev.PredictionID == "pred_2" && failed.CompareAndSwap(false, true) {
			return errors.New("once")
		}
		handled <- ev.PredictionID
		return nil
	}), Config{Retry: fast}, func(c *Consumer) { c.reports.every = 10 * time.Millisecond })
	b.publish("pred_1")
	next(t, handled)
	require.Zero(t, b.written())
	b.publish("pred_2", "pred_3")
	next(t, handled)
	next(t, handled)
	b.eventually(func() bool { return b.written() == 2 }, "the record of the failed attempt, and its removal")
	require.Empty(t, looked)

	c, err := New(b.JS, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "team"})
	require.NoError(t, err)
	for i := range 10 {
		c.reports.attempted(ActionRetry, time.Now(), errors.New("once"))
		c.reports.attempted(ActionDone, time.Now(), nil)
		c.reports.look(context.Background(), time.Now().Add(time.Duration(i)*time.Minute))
	}
	require.EqualValues(t, 2, b.written(), "nor as time goes on")
}

// The report of a process that was killed goes by itself.
func TestReportOfAKilledProcessGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	c, err := New(b.JS, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "team"})
	require.NoError(t, err)
	c.reports.keep = time.Second // the shortest that the server knows
	c.reports.attempted(ActionRetry, time.Now().Add(-time.Minute), errors.New("no"))
	c.reports.look(context.Background(), time.Now())
	require.Equal(t, consumerstate.Failing, b.judged().State)
	b.eventually(func() bool { return b.Messages(t, "KV_HOOKSPAN_ATTEMPTS") == 0 }, "it goes")
}

// One that stops takes its report back.
func TestStoppedConsumerTakesItsReportBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stop := b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error { return errors.New("no") }), Config{Retry: fast}, quick)
	b.publish("pred_1")
	b.eventually(func() bool { return b.judged().State == consumerstate.Failing }, "it fails")
	require.NoError(t, stop())
	require.Equal(t, consumerstate.Waiting, b.judged().State)
}

// Processes share a durable: while one of them succeeds the consumer is not failing.
func TestOneProcessThatSucceedsIsEnough(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alike := Config{Retry: Retry{First: 5 * time.Millisecond, Max: 5 * time.Millisecond}}
	stop := b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error { return errors.New("no") }), alike, quick)
	b.publish("pred_0")
	b.eventually(func() bool { return b.judged().State == consumerstate.Failing }, "the only process fails")
	b.runTuned(HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), alike, quick)
	b.eventually(func() bool {
		b.publish("pred_" + time.Now().String())
		list, _ := b.reports("team")
		return len(list) == 2
	}, "one reports that it fails, one that it succeeds")
	require.Equal(t, consumerstate.Waiting, b.judged().State)
	require.NoError(t, stop())
	b.eventually(func() bool { list, _ := b.reports("team"); return len(list) <= 1 }, "who stopped says nothing more")
}

// held is a gate that is closed until it is opened.
type held struct {
	HandlerFunc
	opened chan struct{}
}

func (h held) Wait(ctx context.Context) {
	select {
	case <-h.opened:
	case <-ctx.Done():
	}
}

// explained says why, too.
type explained struct {
	held
	since time.Time
}

func (h explained) Blocked() (time.Time, string) {
	select {
	case <-h.opened:
		return time.Time{}, ""
	default:
		return h.since, "closed for lunch"
	}
}

func TestBlockedConsumerReports(t *testing.T) {
	since := time.Now().Add(-time.Hour)
	for name, c := range map[string]struct {
		handler func(held) Handler
		reason  string
	}{
		"says why":     {func(h held) Handler { return explained{h, since} }, "closed for lunch"},
		"does not say": {func(h held) Handler { return h }, "the handler lets no event be fetched"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			done := make(chan struct{}, 1)
			h := held{func(context.Context, *bridge.Event) error { done <- struct{}{}; return nil }, make(chan struct{})}
			b.runTuned(c.handler(h), Config{Concurrency: 2}, quick)
			b.publish("pred_1")
			b.eventually(func() bool { return b.judged().State == consumerstate.Blocked }, "it is blocked")
			require.Equal(t, c.reason, b.judged().Reason)
			if name == "says why" {
				require.True(t, since.Equal(b.judged().Since))
			}
			close(h.opened)
			next(t, done)
			b.eventually(func() bool { return b.judged().State == consumerstate.Waiting }, "it is not any more")
		})
	}
}

// Events that became dead letters do not make a consumer fail for ever; events that come again
// do.
func TestFailuresThatEndedFade(t *testing.T) {
	t.Parallel()
	c, err := New(setup(t).JS, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "team"})
	require.NoError(t, err)
	r := c.reports
	for _, a := range []Action{ActionDead, ActionRetry} {
		r.attempted(ActionDone, time.Now(), nil)
		r.attempted(a, time.Now(), errors.New("no"))
		r.attempted(ActionSnooze, time.Now(), errors.New("not now"))
		require.Empty(t, r.current(time.Now()).State, "not at once")
		require.Equal(t, consumerstate.Failing, r.current(time.Now().Add(time.Minute)).State)
		require.Equal(t, a == ActionRetry, r.current(time.Now().Add(time.Hour)).State == consumerstate.Failing)
	}
}

// A report that cannot be written is written later, and is no error of the consumer's.
func TestReportThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := context.Background()
	attempts, err := b.JS.Stream(ctx, "KV_HOOKSPAN_ATTEMPTS")
	require.NoError(t, err)
	require.NoError(t, b.JS.DeleteStream(ctx, "KV_HOOKSPAN_ATTEMPTS"))
	c, err := New(b.JS, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "team", Logger: b.log})
	require.NoError(t, err)
	now := time.Now().Add(time.Minute)
	c.reports.attempted(ActionRetry, time.Now(), errors.New("no"))
	c.reports.look(ctx, now)
	require.Equal(t, 1, b.logs.FilterMessage("how the consumer does could not be reported").FilterLevelExact(zap.DebugLevel).Len())
	_, err = b.JS.CreateStream(ctx, attempts.CachedInfo().Config)
	require.NoError(t, err)
	c.reports.look(ctx, now.Add(reportRetry-time.Nanosecond))
	require.Equal(t, consumerstate.Waiting, b.judged().State, "not at once")
	c.reports.look(ctx, now.Add(reportRetry))
	require.Equal(t, consumerstate.Failing, b.judged().State)
	require.Equal(t, 1, b.logs.Len())
}
