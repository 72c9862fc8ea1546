package consumers

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

func try(h HandlerFunc, cfg Config, a Attempt) Tried {
	return Try(context.Background(), h, natstest.Event("pred_1"), cfg, a)
}

func returning(err error) HandlerFunc {
	return func(context.Context, *bridge.Event) error { return err }
}

func TestTryReachesTheVerdictOfAConsumer(t *testing.T) {
	t.Parallel()
	fault := errors.New("fault")
	for name, c := range map[string]struct {
		err  error
		a    Attempt
		want Verdict
	}{
		"done":                         {nil, Attempt{}, Verdict{Action: ActionDone}},
		"permanent":                    {Permanent(fault), Attempt{}, Verdict{Action: ActionDead, Cause: bridge.DeadPermanent}},
		"refused":                      {Refused(fault), Attempt{}, Verdict{Action: ActionDead, Cause: bridge.DeadRefused}},
		"snoozed":                      {Snooze(fault, time.Minute), Attempt{}, Verdict{Action: ActionSnooze, Delay: time.Minute}},
		"retry":                        {RetryAfter(fault, time.Hour), Attempt{}, Verdict{Action: ActionRetry, Delay: time.Hour}},
		"exhausted":                    {fault, Attempt{Number: 9, First: time.Now().Add(-72 * time.Hour)}, Verdict{Action: ActionDead, Cause: bridge.DeadExhausted}},
		"a handler's own not-an-event": {bridge.ErrNotEvent, Attempt{}, Verdict{Action: ActionRetry}},
	} {
		got := try(returning(c.err), Config{}, c.a)
		require.Equal(t, c.err, got.Err, name)
		if name == "a handler's own not-an-event" { // any backoff
			got.Delay = 0
		}
		require.Equal(t, c.want, got.Verdict, name)
		require.Nil(t, got.Panic, name)
	}
	for number, longest := range map[int]time.Duration{0: time.Second, 1: time.Second, 3: 4 * time.Second} {
		got := try(returning(fault), Config{}, Attempt{Number: number})
		require.Equal(t, ActionRetry, got.Action)
		require.GreaterOrEqual(t, got.Delay, longest/2)
		require.LessOrEqual(t, got.Delay, longest)
	}
}

func TestTryOfAPanic(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.ErrorLevel)
	got := try(func(context.Context, *bridge.Event) error { panic("no") }, Config{Logger: slog.New(zapslog.NewHandler(core))}, Attempt{})
	require.Equal(t, ActionRetry, got.Action)
	require.Equal(t, "no", got.Panic)
	require.EqualError(t, got.Err, "handler panicked: no")
	require.Contains(t, logs.All()[0].ContextMap()["stack"], "TestTryOfAPanic")
}

func TestTryEndsAnAttemptAsAConsumerDoes(t *testing.T) {
	t.Parallel()
	wait := func(ctx context.Context, _ *bridge.Event) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	got := try(wait, Config{Timeout: time.Millisecond}, Attempt{})
	require.Equal(t, ActionRetry, got.Action)
	require.ErrorIs(t, got.Err, ErrTimeout)
	for cause, want := range map[error]Action{ErrStopping: ActionGiveBack, ErrLeaseLost: ActionLeave} {
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		require.Equal(t, want, Try(ctx, HandlerFunc(wait), natstest.Event("pred_1"), Config{}, Attempt{}).Action)
	}
}

func TestTryIsAnAttempt(t *testing.T) {
	t.Parallel()
	var order []string
	around := func(next Handler) Handler {
		return HandlerFunc(func(ctx context.Context, ev *bridge.Event) error {
			order = append(order, "around")
			return next.Handle(ctx, ev)
		})
	}
	var seen Attempt
	handler := func(ctx context.Context, _ *bridge.Event) error {
		order = append(order, "handler")
		seen = AttemptOf(ctx)
		Note(ctx, "a note")
		return nil
	}
	got := try(handler, Config{Name: "team", Middleware: []Middleware{around}}, Attempt{Number: 3, Repeat: true})
	require.Equal(t, []string{"around", "handler"}, order)
	require.Equal(t, "a note", got.Note)
	require.Equal(t, "team", seen.Consumer)
	require.Equal(t, 3, seen.Number)
	require.True(t, seen.Repeat)
	require.NotZero(t, seen.First)
	try(handler, Config{}, Attempt{})
	require.Equal(t, 1, seen.Number)
}
