package await

import (
	"context"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// SetIdleTimeout changes how long the hub listens when nobody waits.
func (h *Hub) SetIdleTimeout(d time.Duration) { h.idleTimeout = d }

// Missed reports whether a waiter for the prediction has missed events.
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

// Know returns a function that has a waiter read the view again and returns the
// waiter's state.
func (h *Hub) Know(source, id string) func(context.Context) (*bridge.PredictionState, error) {
	v := &knowledge{hub: h, source: source, id: id}
	return func(ctx context.Context) (*bridge.PredictionState, error) {
		err := v.reread(ctx)
		return v.state, err
	}
}

// Look returns a function that has a waiter read the view because events up to a sequence
// were missed, and reports whether the waiter is content.
func (h *Hub) Look(source, id string) func(ctx context.Context, missed uint64) bool {
	v := &knowledge{hub: h, source: source, id: id}
	return func(ctx context.Context, missed uint64) bool {
		return v.look(ctx, note{reread: true, sequence: missed})
	}
}
