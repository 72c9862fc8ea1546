package backoff

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDoubled(t *testing.T) {
	t.Parallel()
	for n, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		require.Equal(t, want, Doubled(1, n, 10))
	}
	require.Equal(t, time.Duration(5), Doubled(7, -1, 5), "never more than the limit")
	require.Equal(t, time.Duration(math.MaxInt64), Doubled(time.Second, 1000, math.MaxInt64), "nothing overflows")
}

func TestSpread(t *testing.T) {
	t.Parallel()
	for range 1000 {
		d := Spread(10)
		require.True(t, d >= 5 && d <= 10, d)
	}
	require.Zero(t, Spread(0))
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{First: time.Second, Max: 3 * time.Second}
	require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}, []time.Duration{b.Next(), b.Next(), b.Next(), b.Next()})
	b.Reset()
	require.Equal(t, time.Second, b.Next())
	ended, end := context.WithCancel(t.Context())
	end()
	require.False(t, b.Wait(ended))
	quick := Backoff{First: 1, Max: 1}
	require.True(t, quick.Wait(t.Context()))
}
