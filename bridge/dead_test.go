package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDeadLetterTravels(t *testing.T) {
	t.Parallel()
	event := Header{"ce-id": {"pred_1/completed/0"}, "Nats-Batch-Id": {"x"}, HeaderMsgID: {"y"}, "hookspan-query-ref": {"7"}}
	again := Again{Attempt: 4, First: time.Unix(1, 0), Sequence: 9}.Header(event)
	want := &DeadLetter{
		Consumer: "billing", Cause: DeadRefused, Fault: FaultRefused, Error: "answered 422:\nno", Attempts: 4,
		History: []FailedAttempt{{At: time.Unix(2, 0).UTC(), Took: 7, Error: "é", Note: "\""}},
		Subject: "hookspan.events.get3w.prediction.completed.a", Sequence: 12,
	}
	h := want.Header(again)
	got, err := DecodeDeadLetter(h)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, []string{"7"}, h["hookspan-query-ref"])
	for _, key := range []string{"Nats-Batch-Id", HeaderMsgID, headerAttempt, headerFirstAttempt, headerSeq} {
		require.NotContains(t, h, key)
	}

	// A dead letter of a dead letter keeps only the last cause.
	second := (&DeadLetter{Consumer: "mail", Cause: DeadPermanent}).Header(h)
	got, err = DecodeDeadLetter(second)
	require.NoError(t, err)
	require.Equal(t, &DeadLetter{Consumer: "mail", Cause: DeadPermanent}, got)
	require.Equal(t, []string{"pred_1/completed/0"}, second["ce-id"])
}

func TestDecodeDeadLetterRefuses(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]Header{
		"no cause":    {},
		"attempts":    {headerDeadCause: {"permanent"}, headerDeadAttempts: {"-1"}},
		"history":     {headerDeadCause: {"permanent"}, headerDeadHistory: {"["}},
		"an encoding": {headerDeadCause: {"%"}},
	} {
		_, err := DecodeDeadLetter(h)
		require.ErrorIs(t, err, errNotDead, name)
	}
}

func TestHistoryFits(t *testing.T) {
	t.Parallel()
	attempts := make([]FailedAttempt, 16)
	for i := range attempts {
		attempts[i] = FailedAttempt{Took: int64(i), Error: strings.Repeat("é", 500), Note: strings.Repeat("\"", 1000)}
	}
	attempts[15].Note = strings.Repeat("\"", 16<<10)
	h := Header{}
	h.Set(headerDeadHistory, deadHistory(attempts))
	require.LessOrEqual(t, len(h.Get(headerDeadHistory)), maxDeadHistory)
	h.Set(headerDeadCause, "exhausted")
	d, err := DecodeDeadLetter(h)
	require.NoError(t, err)
	require.Equal(t, int64(0), d.History[0].Took, "the first one is kept")
	last := d.History[len(d.History)-1]
	require.Equal(t, int64(15), last.Took, "and the last one")
	require.NotEmpty(t, last.Note)
	require.Empty(t, deadHistory(nil))
	require.Empty(t, deadHistory([]FailedAttempt{{Error: strings.Repeat("é", maxDeadHistory)}}))
}

func FuzzDecodeDeadLetter(f *testing.F) {
	f.Add("permanent", "3", `[{"took_ms":1}]`, "4")
	f.Fuzz(func(t *testing.T, cause, attempts, history, seq string) {
		h := Header{headerDeadCause: {cause}, headerDeadAttempts: {attempts}, headerDeadHistory: {history}, headerDeadSeq: {seq}}
		d, err := DecodeDeadLetter(h)
		if err != nil {
			require.ErrorIs(t, err, errNotDead)
			return
		}
		again, err := DecodeDeadLetter(d.Header(nil))
		require.NoError(t, err)
		require.Equal(t, d.Cause, again.Cause)
		require.Equal(t, d.Attempts, again.Attempts)
		require.Equal(t, d.Sequence, again.Sequence)
	})
}

func TestAgainTravels(t *testing.T) {
	t.Parallel()
	want := Again{Attempt: 9, First: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Sequence: 77}
	got, err := DecodeAgain(want.Header(Header{"ce-id": {"e"}, "Nats-Schedule": {"@at x"}}))
	require.NoError(t, err)
	require.Equal(t, want, got)
	got, err = DecodeAgain(Header{"ce-id": {"e"}})
	require.NoError(t, err)
	require.Zero(t, got)
	_, err = DecodeAgain(Header{headerAttempt: {"x"}})
	require.ErrorIs(t, err, errNotAgain)
}

func TestNamesOfWaitingEvents(t *testing.T) {
	t.Parallel()
	n := Names{}
	const subject = "hookspan.events.get3w.prediction.completed.a.b"
	later := n.Later("billing", "pred/completed/0", 3)
	require.Equal(t, "billing", n.LaterConsumer(later))
	require.NotEqual(t, later, n.Later("billing", "pred/completed/0", 4))
	due := n.Due("billing", subject)
	require.Equal(t, "hookspan.due.billing.get3w.prediction.completed.a.b", due)
	consumer, again := n.ParseDue(due)
	require.Equal(t, "billing", consumer)
	require.Equal(t, n.Again("billing", subject), again)
	require.Equal(t, due, n.Due("billing", again), "a copy waits under the same name")
	require.True(t, n.IsAgain(again))
	require.False(t, n.IsAgain(subject))
	for _, s := range []string{"", "hookspan.due.", "hookspan.due.billing", "hookspan.due.billing.", "hookspan.due.*.x", "hookspan.due..x", "x.due.billing.y"} {
		consumer, again := n.ParseDue(s)
		require.Empty(t, consumer+again, s)
	}
}
