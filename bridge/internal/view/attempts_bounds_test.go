package view

import (
	"fmt"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func (x *viewed) count(table string) (n int) {
	x.r.t.Helper()
	require.NoError(x.r.t, x.read(x.r.t.Context(), func(c *conn) error {
		return c.query("SELECT count(*) FROM "+table, func(s *sqlite3.Stmt) error { n = s.ColumnInt(0); return nil })
	}))
	return n
}

// Whoever may tell of attempts cannot fill the view by inventing consumers, and the lanes that
// an event has go on.
func TestInventedConsumers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	e := says(t, "a", finished)
	a := bridge.Attempt{Event: e.ID, Source: "get3w", Prediction: "a", Sequence: r.publish(e).Sequence, At: foldtest.Noon, Try: 1, Verdict: bridge.VerdictRetry, Error: "boom"}
	x.folded()
	for i := range maxLanes + 20 {
		r.tells(fmt.Sprint("c", i), a)
	}
	x.heard(maxLanes, 20)
	a.Try, a.At = 2, a.At.Add(1)
	r.tells("c0", a)
	x.heard(maxLanes+1, 20)
	require.Equal(t, maxLanes, x.count("lanes"))
	require.Equal(t, maxLanes+1, x.count("attempts"))
}

// An attempt can be told of before its message is folded; when that is no event, nothing of
// it stays, though an old prediction is open.
func TestAttemptsOnWhatIsNoEvent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	r.publish(says(t, "open", running))
	x.folded()
	x.writing.Lock() // nothing is folded
	e := says(t, "a", finished)
	ack, err := r.JS.Publish(t.Context(), r.Names.SubjectOf(e), []byte("no event"))
	require.NoError(t, err)
	seq := r.publish(e).Sequence
	for _, told := range []uint64{ack.Sequence, seq} {
		r.tells("billing", bridge.Attempt{Event: e.ID, Source: "get3w", Prediction: "a", Sequence: told, At: foldtest.Noon, Try: 1, Verdict: bridge.VerdictRetry, Error: "boom"})
	}
	x.writing.Unlock()
	x.folded()
	r.eventually(func() bool { return x.attempts.folded.Load()+x.attempts.unknown.Load() == 2 })
	r.eventually(func() bool { return x.count("lanes") == 1 && x.count("attempts") == 1 })
	require.Len(t, x.timeline("a").Events[0].Attempts, 1)
}
