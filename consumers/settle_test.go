package consumers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestSettle(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := Retry{First: time.Second, Max: time.Minute, GiveUpAfter: time.Hour}
	fault := errors.New("fault")
	notEvent := fmt.Errorf("decoding: %w", bridge.ErrNotEvent)
	long := now.Add(-2 * time.Hour)
	for _, c := range []struct {
		name string
		o    outcome
		want Verdict
	}{
		{"done", outcome{first: now, failures: 1}, Verdict{Action: ActionDone}},
		{"done although it should stop", outcome{ended: ErrStopping, first: now, failures: 1}, Verdict{Action: ActionDone}},
		{"done although the lease is lost", outcome{ended: ErrLeaseLost, first: now, failures: 1}, Verdict{Action: ActionDone}},
		{"stopping", outcome{err: fault, ended: ErrStopping, first: long, failures: 9}, Verdict{Action: ActionGiveBack}},
		{"stopping and permanent", outcome{err: Permanent(fault), ended: ErrStopping, first: now, failures: 1}, Verdict{Action: ActionGiveBack}},
		{"lease lost", outcome{err: Permanent(fault), ended: fmt.Errorf("%w: closed", ErrLeaseLost), first: long, failures: 9}, Verdict{Action: ActionLeave}},
		{"undecodable", outcome{err: notEvent}, Verdict{Action: ActionDead, Cause: bridge.DeadUndecodable}},
		{"a handler's own not-an-event", outcome{err: notEvent, first: now, failures: 1}, Verdict{Action: ActionRetry, Delay: 1}},
		{"permanent", outcome{err: fmt.Errorf("x: %w", Permanent(fault)), first: now, failures: 1}, Verdict{Action: ActionDead, Cause: bridge.DeadPermanent}},
		{"permanent and retry after", outcome{err: RetryAfter(Permanent(fault), time.Second), first: now, failures: 1}, Verdict{Action: ActionDead, Cause: bridge.DeadPermanent}},
		{"exhausted", outcome{err: fault, first: now.Add(-time.Hour), failures: 2}, Verdict{Action: ActionDead, Cause: bridge.DeadExhausted}},
		{"exhausted and retry after", outcome{err: RetryAfter(fault, time.Second), first: long, failures: 2}, Verdict{Action: ActionDead, Cause: bridge.DeadExhausted}},
		{"almost exhausted", outcome{err: fault, first: now.Add(-time.Hour + 1), failures: 2}, Verdict{Action: ActionRetry, Delay: 1}},
		{"retry after", outcome{err: fmt.Errorf("x: %w", RetryAfter(fault, 7*time.Second)), first: now, failures: 1}, Verdict{Action: ActionRetry, Delay: 7 * time.Second}},
		{"retry after too long", outcome{err: RetryAfter(fault, 1000*time.Hour), first: now, failures: 1}, Verdict{Action: ActionRetry, Delay: MaxRetryDelay}},
		{"refused", outcome{err: fmt.Errorf("x: %w", Refused(fault)), first: now, failures: 1}, Verdict{Action: ActionDead, Cause: bridge.DeadRefused}},
		{"retry within", outcome{err: RetryWithin(fault, time.Millisecond), first: now, failures: 5}, Verdict{Action: ActionRetry, Delay: time.Millisecond}},
		{"retry within, later than the backoff", outcome{err: RetryWithin(fault, time.Hour), first: now, failures: 1}, Verdict{Action: ActionRetry, Delay: 1}},
		{"retry within and exhausted", outcome{err: RetryWithin(fault, time.Hour), first: long, failures: 5}, Verdict{Action: ActionDead, Cause: bridge.DeadExhausted}},
		{"snoozed", outcome{err: Snooze(fault, time.Second), first: now, failures: 1}, Verdict{Action: ActionSnooze, Delay: time.Second}},
		{"snoozed for too long", outcome{err: Snooze(fault, time.Hour), first: now, failures: 1}, Verdict{Action: ActionSnooze, Delay: ShortRetryDelay}},
		{"snoozed when it would be given up", outcome{err: Snooze(fault, time.Second), first: long, failures: 9}, Verdict{Action: ActionSnooze, Delay: time.Second}},
		{"snoozed and stopping", outcome{err: Snooze(fault, time.Second), ended: ErrStopping, first: now, failures: 1}, Verdict{Action: ActionGiveBack}},
		{"timeout", outcome{err: fault, ended: ErrTimeout, first: now, failures: 1}, Verdict{Action: ActionRetry, Delay: 1}},
		{"panic", outcome{err: &panicError{value: "x"}, first: now, failures: 1}, Verdict{Action: ActionRetry, Delay: 1}},
	} {
		got := settle(c.o, r, now)
		if c.want.Delay == 1 { // any backoff
			require.NotZero(t, got.Delay, c.name)
			got.Delay = 1
		}
		require.Equal(t, c.want, got, c.name)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	r := Retry{First: time.Second, Max: 30 * time.Second}
	for n, full := range []time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 30 * time.Second, 200: 30 * time.Second} {
		if full == 0 {
			continue
		}
		for range 100 {
			d := r.backoff(n)
			require.GreaterOrEqual(t, d, full/2, n)
			require.LessOrEqual(t, d, full, n)
		}
	}
}

func TestVerdictsOfNil(t *testing.T) {
	t.Parallel()
	require.NoError(t, Permanent(nil))
	require.NoError(t, RetryAfter(nil, time.Second))
	require.False(t, IsPermanent(nil))
	fault := errors.New("x")
	require.ErrorIs(t, Permanent(fault), fault)
	require.ErrorIs(t, RetryAfter(fault, 0), fault)
}

func TestNoteOutsideAnAttempt(t *testing.T) {
	t.Parallel()
	Note(context.Background(), "nothing happens")
	in := &attemptInfo{}
	Note(context.WithValue(context.Background(), attemptKey{}, in), strings.Repeat("é", 10<<10)+"\xff")
	require.Len(t, in.note.get(), maxLastNote)
	require.Equal(t, 1, AttemptOf(context.Background()).Number)
}

// A wrapper of the result of an attempt passes success on. Snooze wraps no result, so it never
// acknowledges.
func TestVerdictsWithoutAnError(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"Permanent": Permanent(nil), "Refused": Refused(nil), "RetryAfter": RetryAfter(nil, time.Second), "RetryWithin": RetryWithin(nil, time.Second),
	} {
		require.NoError(t, err, name)
	}
	for _, d := range []time.Duration{-1, 0, time.Second} {
		verdict := settle(outcome{err: Snooze(nil, d)}, Retry{}, time.Now())
		require.Equal(t, Verdict{Action: ActionSnooze, Delay: max(d, 0)}, verdict)
	}
}
