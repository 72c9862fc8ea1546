package live_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/live"
)

// A client that comes again is told nothing of a prediction that was erased meanwhile, though
// the memory has its event still.
func TestErasedEventsAreNotTold(t *testing.T) {
	t.Parallel()
	b := start(t, live.Limits{})
	c := b.fresh(query())
	for _, id := range []string{"before", "gone", "after"} {
		b.store(event(id, "completed", "m"))
		require.Equal(t, id, c.row().Prediction)
	}
	gone := "gone"
	b.erased.Store(&gone)
	again := b.open(query(), "0")
	require.Equal(t, "before", again.row().Prediction)
	require.Equal(t, "after", again.row().Prediction)
}
