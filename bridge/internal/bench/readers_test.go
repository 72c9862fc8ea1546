package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadersReadEach: every way that is compared reads all that is stored, whoever
// has read it before.
func TestReadersReadEach(t *testing.T) {
	r, err := openRig(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.close()) })
	const events = 50
	require.NoError(t, r.fill(t.Context(), completedWebhook(), events))
	for _, round := range []string{"first", "second"} {
		for way := range readers {
			rate, err := r.read(t.Context(), reading{Durable: fmt.Sprintf("%s-%d", round, way), Reader: way, Workers: 4, Events: events})
			require.NoError(t, err, way)
			require.Positive(t, rate, way)
		}
	}
}

func TestLoopCount(t *testing.T) {
	p, err := openPool(200, window{measured: 100 * time.Millisecond}, 1)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.close()) })
	w := window{warm: 3 * time.Millisecond, measured: 18 * time.Millisecond}
	_, err = openLoop(t.Context(), slices.Repeat([]worker{func(context.Context, int) error { return nil }}, 3), 200, p, w)
	require.NoError(t, err)
	require.EqualValues(t, loopCount(200, w), p.taken.Load())
}
