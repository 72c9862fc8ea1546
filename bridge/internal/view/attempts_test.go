package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// tells publishes attempts as a consumer does.
func (r *rig) tells(consumer string, attempts ...bridge.Attempt) {
	r.t.Helper()
	raw, err := bridge.EncodeAttempts(attempts)
	require.NoError(r.t, err)
	require.NoError(r.t, r.NC.Publish(r.Names.AttemptsTold(consumer), raw))
	require.NoError(r.t, r.NC.Flush())
}

// heard waits until the view has folded or refused that many attempts.
func (x *viewed) heard(folded, unknown uint64) {
	x.r.t.Helper()
	x.r.eventually(func() bool { return x.attempts.folded.Load() >= folded && x.attempts.unknown.Load() >= unknown })
	require.Equal(x.r.t, []uint64{folded, unknown}, []uint64{x.attempts.folded.Load(), x.attempts.unknown.Load()})
}

func (x *viewed) timeline(id string) *Timeline {
	x.r.t.Helper()
	line, err := x.Timeline(x.r.t.Context(), "get3w", id, "")
	require.NoError(x.r.t, err)
	return line
}

// An attempt told twice counts once, an older one changes nothing that is newer, and
// attempts on unknown events leave nothing.
func TestAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	e := says(t, "a", finished)
	seq := r.publish(e).Sequence
	x.folded()
	at := func(n int, verdict, err string) bridge.Attempt {
		return bridge.Attempt{
			Event: e.ID, Source: "get3w", Prediction: "a", Sequence: seq, At: foldtest.Noon.Add(time.Duration(n) * time.Minute), Took: 0.5, Try: n, Verdict: verdict, Error: err,
		}
	}
	r.tells("billing", at(1, bridge.VerdictRetry, "one"), at(2, bridge.VerdictRetry, "two"))
	r.tells("billing", at(2, bridge.VerdictRetry, "two"), at(3, bridge.VerdictDone, ""))
	r.tells("billing", at(1, bridge.VerdictRetry, "one"))
	x.heard(5, 0)
	line := x.timeline("a")
	require.Len(t, line.Events, 1)
	require.Equal(t, e.ID, line.Events[0].ID)
	require.Equal(t, r.Names.SubjectOf(e), line.Events[0].Subject)
	require.Len(t, line.Events[0].Attempts, 1)
	last := line.Events[0].Attempts[0]
	require.Equal(t, Try{At: foldtest.Noon.Add(3 * time.Minute), Took: 500 * time.Millisecond, Number: 3, Verdict: bridge.VerdictDone}, last.Try)
	require.Len(t, last.Failed, 2)
	require.Equal(t, "one", last.Failed[0].Error)

	unknown := at(4, bridge.VerdictDone, "")
	for _, sequence := range []uint64{0, seq + 1000, 1 << 62} {
		unknown.Sequence = sequence
		r.tells("billing", unknown)
	}
	x.heard(5, 3)
	require.NoError(t, r.NC.Publish(r.Names.AttemptsTold("UPPER"), []byte(`[]`)))
	require.NoError(t, r.NC.Publish(r.Names.AttemptsTold("billing"), []byte(`[{`)))
	require.NoError(t, r.NC.Publish(r.Names.AttemptsTold(strings.Repeat("a", 200)), []byte(`[]`)))
	x.heard(5, 6)
	other := at(9, bridge.VerdictDone, "")
	other.Event = "of/another/stream"
	r.tells("other", other)
	x.heard(6, 6)
	require.Len(t, x.timeline("a").Events[0].Attempts, 1, "a lane of an event that had the same sequence is not shown")
}

// An attempt of a clock that is far ahead does not hide those after it.
func TestAttemptOfTheFuture(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	e := says(t, "a", finished)
	a := bridge.Attempt{Event: e.ID, Source: "get3w", Prediction: "a", Sequence: r.publish(e).Sequence, Try: 1, Verdict: bridge.VerdictRetry, Error: "one"}
	x.folded()
	for _, a.At = range []time.Time{time.Now().AddDate(100, 0, 0), time.Now().AddDate(50, 0, 0)} {
		r.tells("billing", a)
		a.Try, a.Verdict, a.Error = 2, bridge.VerdictDone, ""
	}
	x.heard(2, 0)
	lane := x.timeline("a").Events[0].Attempts[0]
	require.Equal(t, bridge.VerdictDone, lane.Try.Verdict)
	require.False(t, lane.Try.At.After(time.Now()))
}

// Attempts that are told before their event is folded are kept for it, and the failed ones
// of a lane are bounded.
func TestAttemptsBeforeTheirEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	x.folded()
	x.writing.Lock() // nothing is folded
	e := says(t, "a", finished)
	seq := r.publish(e).Sequence
	for n := range 40 {
		r.tells("billing", bridge.Attempt{
			Event: e.ID, Source: "get3w", Prediction: "a", Sequence: seq, At: foldtest.Noon.Add(time.Duration(n) * time.Minute), Try: n + 1,
			Verdict: bridge.VerdictRetry, Error: fmt.Sprint("try ", n), Next: foldtest.Noon.Add(time.Hour),
		})
	}
	x.writing.Unlock()
	x.folded()
	x.heard(40, 0)
	a := x.timeline("a").Events[0].Attempts[0]
	require.Equal(t, 40, a.Try.Number)
	require.Equal(t, foldtest.Noon.Add(time.Hour), a.Next)
	require.Len(t, a.Failed, laneAttempts)
	require.Equal(t, "try 39", a.Failed[laneAttempts-1].Error)
}
