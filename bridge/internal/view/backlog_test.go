package view

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// What waited for consumers is kept for a day, one figure for each five minutes.
func TestBacklogIsKeptForADay(t *testing.T) {
	t.Parallel()
	v := filled(t, filepath.Join(t.TempDir(), "view.db"), 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	for i := range 30 * 12 {
		at := foldtest.Noon.Add(time.Duration(i) * BacklogStep)
		require.NoError(t, v.AddBacklog(at.Add(time.Minute), map[string]uint64{"billing": 7, "mail": 1}))
		require.NoError(t, v.AddBacklog(at.Add(2*time.Minute), map[string]uint64{"billing": uint64(i)})) //nolint:gosec // positive
	}
	now := foldtest.Noon.Add(30 * time.Hour)
	list, err := v.Backlogs(t.Context(), "billing", now)
	require.NoError(t, err)
	require.Len(t, list, 24*12-1)
	require.Equal(t, Backlog{now.Add(-BacklogStep), 30*12 - 1}, list[len(list)-1])
	require.Equal(t, now.Add(-BacklogKeep+BacklogStep), list[0].At)
	all := 0
	require.NoError(t, v.read(t.Context(), func(c *conn) error {
		return c.query("SELECT count(*) FROM backlogs", func(s *sqlite3.Stmt) error { all = s.ColumnInt(0); return nil })
	}))
	require.Less(t, all, 2*24*12+3, "what is older is gone")

	many := map[string]uint64{}
	for i := range 1000 {
		many[fmt.Sprint("c", i)] = 1
	}
	require.NoError(t, v.AddBacklog(now.Add(48*time.Hour), many))
	require.NoError(t, v.read(t.Context(), func(c *conn) error {
		return c.query("SELECT count(*) FROM backlogs", func(s *sqlite3.Stmt) error { all = s.ColumnInt(0); return nil })
	}))
	require.Equal(t, maxBacklogs, all)
}

// How long a consumer takes is told by the last attempt on each event. What it put off is none.
func TestHowAConsumerHandles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	at := func(i int, verdict string, took float64) bridge.Attempt {
		e := says(t, fmt.Sprint("p", i), finished)
		return bridge.Attempt{
			Event: e.ID, Source: "get3w", Prediction: e.PredictionID, Sequence: r.publish(e).Sequence, At: foldtest.Noon.Add(time.Duration(i) * time.Minute), Took: took, Try: 1, Verdict: verdict,
		}
	}
	var told []bridge.Attempt
	for i := 1; i <= 100; i++ {
		told = append(told, at(i, bridge.VerdictDone, float64(i)/100))
	}
	told = append(told, at(101, bridge.VerdictSnoozed, 50), at(102, bridge.VerdictSkipped, 50))
	x.folded()
	r.tells("billing", told...)
	r.tells("mail", at(103, bridge.VerdictRetry, 2))
	x.heard(103, 0)
	got, err := x.Handling(t.Context(), "billing")
	require.NoError(t, err)
	require.Equal(t, Handling{Since: foldtest.Noon.Add(time.Minute), Verdicts: map[string]int{"done": 100}, P50: 500 * time.Millisecond, P95: 950 * time.Millisecond}, got)
	got, err = x.Handling(t.Context(), "mail")
	require.NoError(t, err)
	require.Equal(t, map[string]int{"retry": 1}, got.Verdicts)
	got, err = x.Handling(t.Context(), "nobody")
	require.NoError(t, err)
	require.Empty(t, got.Verdicts)
	require.Zero(t, got.P95)
}
