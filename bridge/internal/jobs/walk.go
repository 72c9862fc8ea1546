package jobs

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"
)

// walk is one way through the entries.
type walk[E any] struct {
	Blocks[E]

	limits Limits
	at     position
	// skip counts the entries only.
	skip bool
	each func(ctx context.Context, p position, outcomes []Outcome) error

	pace    *rate.Limiter
	size    int // of a block
	looked  int
	oldest  time.Time
	block   []E
	bytes   int
	flushed time.Time
	// of the block, which at is not behind yet
	sequences []uint64
	after     uint64
	stays     uint64
	// one removes the entries of the block before, to all those up to removedTo.
	one, to   removal
	removedTo uint64
}

func (w *walk[E]) run(ctx context.Context) (err error) {
	defer func() {
		if removal := w.endRemovals(ctx); removal != nil {
			err = removal
		}
	}()
	w.size, w.pace = blockEntries, rate.NewLimiter(rate.Inf, blockEntries)
	if w.limits.Rate > 0 && !w.limits.DryRun {
		w.size = min(max(1, int(w.limits.Rate/blocksPerSecond)), blockEntries)
		w.pace = rate.NewLimiter(rate.Limit(w.limits.Rate), w.size)
		w.pace.AllowN(time.Now(), w.size) // the call before may have just done as many
	}
	if w.at.After > 0 && w.at.RemoveTo == 0 && w.at.Stays == 0 {
		w.RemoveTo = nil // nothing says that none stays
	}
	w.remove(ctx, w.at.Remove)
	w.after, w.stays, w.flushed = w.at.After, w.at.Stays, time.Now()
	for {
		if w.at.Part >= len(w.at.Ends) {
			return nil
		}
		scanErr := w.Scan(ctx, w.at.Part, w.after, w.at.Ends[w.at.Part]+1, func(e Entry[E]) error { return w.visit(ctx, e) })
		if scanErr != nil && !errors.Is(scanErr, errLimit) {
			return scanErr
		}
		if err := w.flush(ctx); err != nil || scanErr != nil {
			return errors.Join(err, scanErr)
		}
		if w.at.Part+1 == len(w.at.Ends) {
			return nil
		}
		if err := w.endRemovals(ctx); err != nil {
			return err
		}
		w.at = position{Part: w.at.Part + 1, Ends: w.at.Ends}
		w.after, w.stays, w.removedTo = 0, 0, 0
	}
}

func (w *walk[E]) visit(ctx context.Context, e Entry[E]) error {
	if e.Selected && w.limits.Entries > 0 && w.looked == w.limits.Entries || !w.limits.Until.IsZero() && time.Now().After(w.limits.Until) {
		return errLimit
	}
	if w.stays == 0 && (e.Behind || !e.Selected) {
		w.stays = w.after + 1
	}
	w.after = e.Sequence
	if e.Selected {
		w.looked++
		if w.oldest.IsZero() || e.StoredAt.Before(w.oldest) {
			w.oldest = e.StoredAt
		}
		if w.skip {
			return nil
		}
		w.block, w.sequences, w.bytes = append(w.block, e.Value), append(w.sequences, e.Sequence), w.bytes+e.Bytes
	}
	if len(w.block) >= w.size || w.bytes >= blockBytes || time.Since(w.flushed) >= flushEvery {
		return w.flush(ctx)
	}
	return nil
}

// flush does the block, has it written down, and begins to remove what is to be removed. Begun,
// it is finished also when ctx ends.
func (w *walk[E]) flush(ctx context.Context) error {
	w.flushed = time.Now()
	if w.after == w.at.After {
		return nil
	}
	if err := w.pace.WaitN(ctx, len(w.block)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), blockTimeout)
	defer cancel()
	var outcomes []Outcome
	if len(w.block) > 0 {
		var err error
		if outcomes, err = w.Do(ctx, w.block, w.limits.DryRun); err != nil {
			return err
		}
	}
	at := position{Part: w.at.Part, After: w.after, Ends: w.at.Ends, RemoveTo: w.at.RemoveTo, Stays: w.stays}
	w.choose(outcomes, &at)
	// Written down, the block takes the place of the one before.
	if err := w.one.wait(); err != nil {
		return err
	}
	if err := w.each(ctx, at, outcomes); err != nil {
		return err
	}
	w.at, w.stays = at, at.Stays
	w.block, w.sequences, w.bytes = nil, nil, 0
	w.remove(ctx, at.Remove)
	return w.removeTo(ctx)
}
