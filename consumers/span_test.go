package consumers

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// What an attempt does for traces allocates nothing while none are sent, and leaves the event as
// it is.
func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	ctx, a := context.Background(), &attempt{consumer: &Consumer{}, event: &bridge.Event{ID: "pred_1/completed/1"}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, e := a.beginSpan(ctx); e != a.event {
			t.Error("another event")
		}
		a.endSpan(Verdict{})
	}))
}
