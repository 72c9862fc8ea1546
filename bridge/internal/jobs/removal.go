package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Between two calls of [Blocks.RemoveTo] are at least removeEvery, and removeShare times what the
// last one took: each one looks at all that stays.
const removeEvery, removeShare = time.Second, 20

// errUnremoved: entries whose outcomes are written down are still there.
var errUnremoved = errors.New("what is done is not removed yet")

// removal removes entries while further ones are worked on.
type removal struct {
	// done is closed at the end of the one that runs, nil before the first; err and took are of
	// that one then.
	done  chan struct{}
	err   error
	took  time.Duration
	ended time.Time
}

// begin removes. Begun, it is finished also when ctx ends. No other one may run.
func (r *removal) begin(ctx context.Context, remove func(context.Context) error) {
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), blockTimeout)
		defer cancel()
		began := time.Now()
		r.err = remove(ctx)
		r.ended = time.Now()
		r.took = r.ended.Sub(began)
	}()
}

func (r *removal) running() bool {
	if r.done == nil {
		return false
	}
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

// wait waits for the end of the removal, if one runs, and returns the error of the last one.
func (r *removal) wait() error {
	if r.done == nil {
		return nil
	}
	<-r.done
	if r.err != nil {
		return fmt.Errorf("%w: %w", errUnremoved, r.err)
	}
	return nil
}

// choose says how the entries of the block leave: up to the first that stays all at once, behind
// it one by one.
func (w *walk[E]) choose(outcomes []Outcome, at *position) {
	removes := func(o Outcome) bool { return !w.limits.DryRun && w.Removes != nil && w.Removes(o.What) }
	for i, o := range outcomes {
		if seq := w.sequences[i]; !removes(o) && (at.Stays == 0 || seq < at.Stays) {
			at.Stays = seq
		}
	}
	for i, o := range outcomes {
		switch seq := w.sequences[i]; {
		case !removes(o):
		case w.RemoveTo != nil && (at.Stays == 0 || seq < at.Stays):
			at.RemoveTo = seq
		default:
			at.Remove = append(at.Remove, seq)
		}
	}
}

// remove begins to remove entries of the part: each costs the server a sync, so the next block is
// done meanwhile.
func (w *walk[E]) remove(ctx context.Context, sequences []uint64) {
	if len(sequences) == 0 {
		return
	}
	part := w.at.Part
	w.one.begin(ctx, func(ctx context.Context) error { return w.Remove(ctx, part, sequences) })
}

// removeTo begins to remove what leaves all at once, unless it is too early for that.
func (w *walk[E]) removeTo(ctx context.Context) error {
	if w.at.RemoveTo <= w.removedTo || w.to.running() || time.Since(w.to.ended) < max(removeEvery, removeShare*w.to.took) {
		return nil
	}
	if err := w.to.wait(); err != nil {
		return err
	}
	w.beginTo(ctx)
	return nil
}

func (w *walk[E]) beginTo(ctx context.Context) {
	part, to := w.at.Part, w.at.RemoveTo
	w.removedTo = to
	w.to.begin(ctx, func(ctx context.Context) error { return w.RemoveTo(ctx, part, to) })
}

// endRemovals returns when all is removed whose outcomes are written down.
func (w *walk[E]) endRemovals(ctx context.Context) error {
	err := errors.Join(w.one.wait(), w.to.wait())
	if err != nil || w.at.RemoveTo <= w.removedTo {
		return err
	}
	w.beginTo(ctx)
	return w.to.wait()
}
