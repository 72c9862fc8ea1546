package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// blockEntries and blockBytes bound what is done and written down at once: so many entries
	// are in memory. blocksPerSecond is how many blocks a second of a rate has, so that
	// progress shows and the entries come evenly.
	blockEntries, blockBytes = 512, 4 << 20
	blocksPerSecond          = 4
	// flushEvery bounds the time between two blocks where few entries match.
	flushEvery = time.Second
	// blockTimeout bounds one block. It is finished also when the process ends.
	blockTimeout = 15 * time.Second
)

// Entry is an entry that was looked at.
type Entry[E any] struct {
	// Sequence is the place in the stream of the part, and StoredAt when it was stored.
	Sequence uint64
	StoredAt time.Time
	// Selected: the selection has it.
	Selected bool
	// Bytes is about the memory that it takes.
	Bytes int
	Value E
}

// Outcome is what became of an entry, and why if an operator should know.
type Outcome struct {
	What  string
	Error string
}

// Blocks is the work on the entries of one or several streams, its parts, a block of entries at a
// time. What was done of a block is written down before entries are removed: so after a crash
// each counts once, provided that Do may be repeated for a block.
type Blocks[E any] struct {
	// Ends returns the last sequence of each part.
	Ends func(ctx context.Context) ([]uint64, error)
	// Scan visits the entries of a part behind after and before before, in order, and returns
	// the first error of visit.
	Scan func(ctx context.Context, part int, after, before uint64, visit func(Entry[E]) error) error
	// Do works on a block and returns the outcome of each entry. A dry run changes nothing.
	Do func(ctx context.Context, block []E, dry bool) ([]Outcome, error)
	// Done is the outcome of what was done, as opposed to left out.
	Done string
	// Removes reports whether entries with the outcome are removed; nil removes none.
	Removes func(outcome string) bool
	// Remove removes entries of a part. Those that are gone are no error.
	Remove func(ctx context.Context, part int, sequences []uint64) error
}

// Dropping returns the work that removes every entry.
func (b Blocks[E]) Dropping() Blocks[E] {
	b.Done, b.Removes = adminapi.OutcomeDropped, func(string) bool { return true }
	b.Do = func(_ context.Context, block []E, _ bool) ([]Outcome, error) {
		return slices.Repeat([]Outcome{{What: adminapi.OutcomeDropped}}, len(block)), nil
	}
	return b
}

// position is where the work goes on.
type position struct {
	Part  int    `json:"part,omitempty"`
	After uint64 `json:"after"`
	// Ends are the last sequences of the parts; later entries are none of the work.
	Ends []uint64 `json:"ends"`
	// Remove are entries of the part whose outcomes are written down.
	Remove []uint64 `json:"remove,omitempty"`
}

// Plan implements [Kind].
func (b Blocks[E]) Plan(ctx context.Context, dry bool) (p Plan, err error) {
	p.LeftOut = map[string]int{}
	ends, err := b.Ends(ctx)
	if err != nil {
		return p, err
	}
	if p.From, err = json.Marshal(position{Ends: ends}); err != nil {
		return p, err
	}
	w := walk[E]{Blocks: b, limits: Limits{DryRun: true}, at: position{Ends: ends}, skip: !dry, each: func(_ context.Context, _ position, outcomes []Outcome) error {
		for _, o := range outcomes {
			if o.What == b.Done {
				p.Count++
			} else {
				p.LeftOut[o.What]++
			}
		}
		return nil
	}}
	err = w.run(ctx)
	p.Total, p.Oldest = w.looked, w.oldest
	if dry { // what was not counted to its end counts as far as is known
		p.Total = p.Count
		for _, n := range p.LeftOut {
			p.Total += n
		}
	}
	return p, err
}

// Run implements [Kind].
func (b Blocks[E]) Run(ctx context.Context, t Task, each func(context.Context, Step) error) error {
	w := walk[E]{Blocks: b, limits: Limits{Rate: t.Rate}, each: func(ctx context.Context, p position, outcomes []Outcome) error {
		from, err := json.Marshal(p)
		if err != nil {
			return err
		}
		s := Step{From: from, Outcomes: map[string]int{}}
		for _, o := range outcomes {
			s.Outcomes[o.What]++
			if o.Error != "" {
				s.Errors = append(s.Errors, o.Error)
			}
		}
		return each(ctx, s)
	}}
	if err := json.Unmarshal(t.From, &w.at); err != nil {
		return Permanent(fmt.Errorf("reading where the job was: %w", err))
	}
	return w.run(ctx)
}

// Limits bound one call of [Blocks.Call].
type Limits struct {
	// Entries bounds the selected ones; 0 is no bound.
	Entries int
	// Until is when the call ends.
	Until time.Time
	// Rate bounds the entries a second; 0 is no bound.
	Rate   float64
	DryRun bool
}

// Call works on the entries of the first part, within limits, and tells outcomes of the blocks
// that are done. It returns the last sequence that it looked at, and whether there may be more.
func (b Blocks[E]) Call(ctx context.Context, l Limits, tell func([]Outcome)) (last uint64, more bool, err error) {
	ends, err := b.Ends(ctx)
	if err != nil {
		return 0, false, err
	}
	w := walk[E]{Blocks: b, limits: l, at: position{Ends: ends}, each: func(_ context.Context, _ position, outcomes []Outcome) error {
		tell(outcomes)
		return nil
	}}
	err = w.run(ctx)
	if errors.Is(err, errLimit) {
		return w.at.After, true, nil
	}
	return w.at.After, false, err
}

var errLimit = errors.New("limit reached")

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
	// removing delivers the error of the removal of the block before, nil without one: each
	// removal costs the server a sync, so the next block is done meanwhile.
	removing chan error
}

func (w *walk[E]) run(ctx context.Context) (err error) {
	defer func() {
		if removal := w.removed(); removal != nil {
			err = removal
		}
	}()
	w.size, w.pace = blockEntries, rate.NewLimiter(rate.Inf, blockEntries)
	if w.limits.Rate > 0 && !w.limits.DryRun {
		w.size = min(max(1, int(w.limits.Rate/blocksPerSecond)), blockEntries)
		w.pace = rate.NewLimiter(rate.Limit(w.limits.Rate), w.size)
		w.pace.AllowN(time.Now(), w.size) // the call before may have just done as many
	}
	w.remove(ctx, w.at.Remove)
	w.after, w.flushed = w.at.After, time.Now()
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
		w.at.Part, w.at.After, w.after = w.at.Part+1, 0, 0
	}
}

func (w *walk[E]) visit(ctx context.Context, e Entry[E]) error {
	if e.Selected && w.limits.Entries > 0 && w.looked == w.limits.Entries || !w.limits.Until.IsZero() && time.Now().After(w.limits.Until) {
		return errLimit
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
	var remove []uint64
	for i, o := range outcomes {
		if !w.limits.DryRun && w.Removes != nil && w.Removes(o.What) {
			remove = append(remove, w.sequences[i])
		}
	}
	// Written down, the block takes the place of the one before.
	if err := w.removed(); err != nil {
		return err
	}
	at := position{Part: w.at.Part, After: w.after, Ends: w.at.Ends, Remove: remove}
	if err := w.each(ctx, at, outcomes); err != nil {
		return err
	}
	w.at = at
	w.block, w.sequences, w.bytes = nil, nil, 0
	w.remove(ctx, remove)
	return nil
}

// remove begins to remove entries of the part.
func (w *walk[E]) remove(ctx context.Context, sequences []uint64) {
	if len(sequences) == 0 {
		return
	}
	part, done := w.at.Part, make(chan error, 1)
	w.removing = done
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), blockTimeout)
		defer cancel()
		done <- w.Remove(ctx, part, sequences)
	}()
}

// removed waits for the end of the removal.
func (w *walk[E]) removed() error {
	if w.removing == nil {
		return nil
	}
	err := <-w.removing
	w.removing = nil
	return err
}
