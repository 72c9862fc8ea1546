package durables

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// SetClock replaces the clock.
func (w *Watch) SetClock(now func() time.Time) { w.now = now }

// MeasureOldest measures consumers in the given states.
func (w *Watch) MeasureOldest(ctx context.Context, states []adminapi.ConsumerState) {
	w.measureOldest(ctx, states)
}
