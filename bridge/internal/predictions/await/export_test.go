package await

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// SetLinger changes for how long is listened when nobody waits any more.
func (h *Hub) SetIdleTimeout(d time.Duration) { h.idleTimeout = d }

// Missed reports whether somebody who waits for the prediction is behind by more than is
// kept for it.
func (h *Hub) Missed(source, id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.waiters[keyOf(source, id)] {
		if w.note.reread && len(w.note.events) < maxMissed {
			return true
		}
	}
	return false
}

// Know returns what reads the prediction store again for somebody who waits, and what that knows
// then.
func (h *Hub) Know(source, id string) func(context.Context) (*bridge.PredictionState, error) {
	v := &view{hub: h, source: source, id: id}
	return func(ctx context.Context) (*bridge.PredictionState, error) {
		err := v.reread(ctx)
		return v.state, err
	}
}
