package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// spare is what a test keeps of its time, to say what it waited for.
	spare = 10 * time.Second
	// pause is between two looks at what changes.
	pause = 50 * time.Millisecond
)

// bounded ends a little before the tests have to. Nothing here has a patience of its own: a busy
// machine shows a page late, and what never comes is told by name all the same.
func bounded(ctx context.Context, t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	if end, ok := t.Deadline(); ok {
		return context.WithDeadline(ctx, end.Add(-spare))
	}
	return context.WithCancel(ctx)
}

// await looks until something holds.
func await(t *testing.T, holds func() bool, otherwise string, args ...any) {
	t.Helper()
	ctx, cancel := bounded(t.Context(), t)
	defer cancel()
	look := time.NewTicker(pause)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-ctx.Done():
			require.FailNowf(t, "waited in vain", otherwise, args...)
		}
	}
}
