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
	v.remember(expiring, counts{open: 7}, now, slowCount, waitingKept)
	require.Empty(t, v.counted, "it was quick")
	for at, want := range map[time.Duration]int{-1: 0, 0: 7, waitingKept - 1: 7, waitingKept: 0} {
		v.remember(expiring, counts{open: 7}, now, slowCount+1, waitingKept)
		figures, err := v.Figures(t.Context(), now.Add(at))
		require.NoError(t, err)
		require.Equal(t, want, figures.Unarchived, at)
	}
}
