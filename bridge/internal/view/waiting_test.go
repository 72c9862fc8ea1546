package view

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A count that took its time is what figures say until it is old; a quick one is made again.
func TestSlowCountsAreRemembered(t *testing.T) {
	t.Parallel()
	v := filled(t, filepath.Join(t.TempDir(), "view.db"), 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	now := time.Now()
	unarchived := func() int {
		figures, err := v.Figures(t.Context(), now)
		require.NoError(t, err)
		return figures.Unarchived
	}
	v.remember(expiring, counts{open: 7}, now.Add(time.Hour), waitingKept) // it took less than nothing
	require.Zero(t, unarchived(), "it was quick")
	v.remember(expiring, counts{open: 7}, now.Add(-waitingKept/2), waitingKept)
	require.Equal(t, 7, unarchived())
	v.counted[expiring] = counts{open: 7, until: now.Add(-time.Second)}
	require.Zero(t, unarchived(), "it is old")
}
