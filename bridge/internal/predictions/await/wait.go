package await

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
)

// Wait returns the state of a prediction as soon as the prediction has ended or was given
// up. When ctx ends first, Wait returns the current state, nil for none, and ctx's error.
// Any other error wraps [adminapi.ErrBusy] when too many wait, or says why NATS does not
// answer. The caller owns the state.
func (h *Hub) Wait(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	return h.watch(ctx, source, id, func(bridge.PredictionUpdate) error { return nil })
}

// Follow calls each with the state of a prediction as soon as there is one, then with each
// change and each progress, until the prediction is not open any more, each returns an
// error, which Follow returns, or ctx ends. Changes during a call of each can be merged.
// Other errors are those of [Hub.Wait].
func (h *Hub) Follow(ctx context.Context, source, id string, each func(bridge.PredictionUpdate) error) error {
	_, err := h.watch(ctx, source, id, each)
	return err
}

func (h *Hub) watch(ctx context.Context, source, id string, each func(bridge.PredictionUpdate) error) (*bridge.PredictionState, error) {
	w, err := h.join(ctx, source, id)
	if err != nil {
		return nil, err
	}
	defer h.leave(w)
	// The waiter joins before the view is read, so nothing falls between.
	v := &knowledge{hub: h, source: source, id: id}
	if err := v.reread(ctx); err != nil {
		return nil, err
	}
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		if v.changed {
			v.changed = false
			if err := each(bridge.PredictionUpdate{State: clone(v.state)}); err != nil {
				return v.state, err
			}
		}
		if v.state != nil && !v.state.Open() {
			return v.state, nil
		}
		n := note{}
		select {
		case <-ctx.Done():
			return v.state, ctx.Err()
		case <-w.wake:
			n = h.take(w)
		case <-retry.C:
			n.reread = true
		}
		if n.closed {
			return v.state, errClosed
		}
		if n.progress != nil {
			if err := each(bridge.PredictionUpdate{Progress: n.progress}); err != nil {
				return v.state, err
			}
		}
		if !v.look(ctx, n) {
			retry.Reset(rereadPause)
		}
	}
}

// knowledge is what one waiter knows of its prediction.
type knowledge struct {
	hub        *Hub
	source, id string
	state      *bridge.PredictionState // nil: none
	read       uint64                  // the last event in the view's state
	want       uint64                  // the last event that the view must have, because it was missed here
	changed    bool                    // since state was told
}

// look handles a note. It reports whether everything is known: otherwise the view does not
// have yet what was missed here.
func (v *knowledge) look(ctx context.Context, n note) bool {
	v.want = max(v.want, n.sequence)
	for _, e := range n.events {
		v.fold(e)
	}
	if !n.reread && v.want <= v.read || v.state != nil && !v.state.Open() {
		return true
	}
	current := v.hub.states.UpToDate() // before the view is read
	err := v.reread(ctx)
	if err != nil {
		v.hub.log.Debug("the view cannot be read for somebody who waits", zap.Error(err))
	}
	return err == nil && current && v.want <= v.read
}

// fold folds an event. If the end was missed, the archive's event does not tell everything,
// and the view will.
func (v *knowledge) fold(f storedEvent) {
	if f.event.Kind() == bridge.KindArchived && (v.state == nil || !v.state.Terminal()) {
		v.want = max(v.want, f.at.Sequence)
		return
	}
	if v.state == nil {
		v.state = &bridge.PredictionState{}
	}
	before := v.state.Sequence
	fold.Fold(v.state, f.event, f.at)
	v.changed = v.changed || v.state.Sequence != before
}

// reread takes the view's state, unless events that came since are newer, or the view is
// being made anew: then it may tell of a giving up that is over.
func (v *knowledge) reread(ctx context.Context) error {
	select {
	case v.hub.reads <- struct{}{}:
		defer func() { <-v.hub.reads }()
	case <-ctx.Done():
		return ctx.Err()
	}
	reading, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	s, err := v.hub.states.Prediction(reading, v.source, v.id)
	switch {
	case errors.Is(err, bridge.ErrNotFound):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case s.Sequence < v.read:
		return nil
	case v.state == nil || s.Sequence > v.state.Sequence || !s.Open():
		v.changed = true
	case s.Sequence < v.state.Sequence:
		return nil
	}
	v.state, v.read = s, s.Sequence
	return nil
}

// clone returns a copy that folding does not change.
func clone(s *bridge.PredictionState) *bridge.PredictionState {
	c := *s
	c.Outputs, c.Events = slices.Clone(s.Outputs), slices.Clone(s.Events)
	return &c
}
