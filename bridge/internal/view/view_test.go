package view

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestFoldsTheStream(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(watched(t, "a", bridge.Watch{Reference: "order 7", Tenant: "acme"}), says(t, "b", running))
	x := r.start("view.db")
	x.folded()
	require.True(t, x.state("a").Open())
	require.Equal(t, bridge.StatusProcessing, x.state("b").Status)
	require.Equal(t, Opened, x.change(Opened).Kind)
	r.publish(says(t, "a", finished))
	c := x.change(Ended)
	require.True(t, c.Live)
	require.Equal(t, "a", c.State.ID)
	require.Equal(t, bridge.StatusCompleted, x.state("a").Status)
	_, err := x.Prediction(t.Context(), "get3w", "other")
	require.ErrorIs(t, err, bridge.ErrNotFound)
	r.eventually(x.UpToDate)
	require.False(t, x.Status().Rebuilding)
	require.Empty(t, x.Status().Error)
}

func TestDue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	now := time.Now().UTC()
	x := r.start("view.db", func(c *Config) { c.Due = func(s *bridge.PredictionState) time.Time { return s.FirstSeen } })
	r.publish(says(t, "a", running), says(t, "b", running), says(t, "c", finished))
	claim := watched(t, "claim", bridge.Watch{})
	claim.Origin = bridge.OriginClaim
	r.publish(claim)
	x.folded()
	ids := func(at time.Time, limit int) (out []string) {
		due, err := x.Due(t.Context(), "get3w", at, limit)
		require.NoError(t, err)
		for _, d := range due {
			out = append(out, d.State.ID)
		}
		return out
	}
	later := now.Add(time.Hour)
	require.Empty(t, ids(now.Add(-time.Hour), 10))
	require.Equal(t, []string{"a", "claim", "b"}, ids(later, 10))
	require.Equal(t, []string{"a"}, ids(later, 1))
	require.NoError(t, x.SetDue(t.Context(), "get3w", "a", now, 1))
	require.Equal(t, []string{"b", "claim", "a"}, ids(later, 10), "the least often polled first")
	open, overdue, oldest, err := x.Counts(t.Context(), "get3w", later)
	require.NoError(t, err)
	require.Equal(t, []int{3, 3}, []int{open, overdue})
	require.Equal(t, x.state("a").FirstSeen, oldest)
	next, err := x.NextDue(t.Context(), "get3w")
	require.NoError(t, err)
	require.Equal(t, now, next)
	require.NoError(t, x.SetDue(t.Context(), "get3w", "a", time.Time{}, 1))
	require.NoError(t, x.SetDue(t.Context(), "get3w", "c", now, 1))
	require.Equal(t, []string{"b", "claim"}, ids(later, 10))
}
