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
	now := time.Now()
	r := Retry{First: time.Second, Max: time.Minute, GiveUpAfter: time.Hour}
	fault := errors.New("fault")
	notEvent := fmt.Errorf("decoding: %w", bridge.ErrNotEvent)
	long := now.Add(-2 * time.Hour)
	for _, c := range []struct {
		name string
		o    outcome
		want settlement
	}{
		{"done", outcome{first: now, failures: 1}, settlement{action: actAck}},
		{"done although it should stop", outcome{ended: ErrStopping, first: now, failures: 1}, settlement{action: actAck}},
		{"done although the lease is lost", outcome{ended: ErrLeaseLost, first: now, failures: 1}, settlement{action: actAck}},
		{"stopping", outcome{err: fault, ended: ErrStopping, first: long, failures: 9}, settlement{action: actGiveBack}},
		{"stopping and permanent", outcome{err: Permanent(fault), ended: ErrStopping, first: now, failures: 1}, settlement{action: actGiveBack}},
		{"lease lost", outcome{err: Permanent(fault), ended: fmt.Errorf("%w: closed", ErrLeaseLost), first: long, failures: 9}, settlement{action: actLeave}},
		{"undecodable", outcome{err: notEvent}, settlement{action: actDead, cause: CauseUndecodable}},
		{"a handler's own not-an-event", outcome{err: notEvent, first: now, failures: 1}, settlement{action: actRetry, delay: 1}},
		{"permanent", outcome{err: fmt.Errorf("x: %w", Permanent(fault)), first: now, failures: 1}, settlement{action: actDead, cause: CausePermanent}},
		{"permanent and retry after", outcome{err: RetryAfter(Permanent(fault), time.Second), first: now, failures: 1}, settlement{action: actDead, cause: CausePermanent}},
		{"exhausted", outcome{err: fault, first: now.Add(-time.Hour), failures: 2}, settlement{action: actDead, cause: CauseExhausted}},
		{"exhausted and retry after", outcome{err: RetryAfter(fault, time.Second), first: long, failures: 2}, settlement{action: actDead, cause: CauseExhausted}},
		{"almost exhausted", outcome{err: fault, first: now.Add(-time.Hour + 1), failures: 2}, settlement{action: actRetry, delay: 1}},
		{"retry after", outcome{err: fmt.Errorf("x: %w", RetryAfter(fault, 7*time.Second)), first: now, failures: 1}, settlement{action: actRetry, delay: 7 * time.Second}},
		{"retry after too long", outcome{err: RetryAfter(fault, time.Hour), first: now, failures: 1}, settlement{action: actRetry, delay: MaxRetryDelay}},
		{"timeout", outcome{err: fault, ended: ErrTimeout, first: now, failures: 1}, settlement{action: actRetry, delay: 1}},
		{"panic", outcome{err: &panicError{value: "x"}, first: now, failures: 1}, settlement{action: actRetry, delay: 1}},
	} {
		got := settle(c.o, r, now)
		if c.want.delay == 1 { // any backoff
			require.NotZero(t, got.delay, c.name)
			got.delay = 1
		}
		require.Equal(t, c.want, got, c.name)
	}
}

func TestBackoff(t *testing.T) {
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
	require.NoError(t, Permanent(nil))
	require.NoError(t, RetryAfter(nil, time.Second))
	require.False(t, IsPermanent(nil))
	fault := errors.New("x")
	require.ErrorIs(t, Permanent(fault), fault)
	require.ErrorIs(t, RetryAfter(fault, 0), fault)
}

func TestNoteOutsideAnAttempt(t *testing.T) {
	Note(context.Background(), "nothing happens")
	var n note
	Note(context.WithValue(context.Background(), noteKey{}, &n), strings.Repeat("é", 600)+"\xff")
	require.Len(t, n.get(), 1024)
}

func TestHistoryFits(t *testing.T) {
	var r record
	for range 100 {
		r = r.with("e", failedAttempt{Error: strings.Repeat("é", 500), Note: strings.Repeat("\"", 1000)})
	}
	require.Equal(t, 100, r.Failures)
	require.Len(t, r.Attempts, maxAttempts)
	text := history(r.Attempts)
	require.NotEmpty(t, text)
	require.LessOrEqual(t, bridge.EncodedLen(text), maxHistory)
	require.Empty(t, history(nil))
	require.Empty(t, history([]failedAttempt{{Error: strings.Repeat("é", maxHistory)}}))
}

func TestParseStart(t *testing.T) {
	at := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	for text, want := range map[string]Start{"new": {}, "all": {All: true}, "2026-01-31T15:04:05Z": {At: at}} {
		got, err := ParseStart(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	_, err := ParseStart("yesterday")
	require.ErrorContains(t, err, "new, all")
}
