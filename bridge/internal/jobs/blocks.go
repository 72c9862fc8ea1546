package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

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
	// Behind: others that cannot be read may lie before it.
	Behind bool
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
	// Count, if set, says how many entries of all parts are selected, at less cost than Scan.
	Count func(ctx context.Context) (int, error)
	// Do works on a block and returns the outcome of each entry. A dry run changes nothing.
	Do func(ctx context.Context, block []E, dry bool) ([]Outcome, error)
	// Done is the outcome of what was done, as opposed to left out.
	Done string
	// Removes reports whether entries with the outcome are removed; nil removes none.
	Removes func(outcome string) bool
	// Remove removes entries of a part. Those that are gone are no error.
	Remove func(ctx context.Context, part int, sequences []uint64) error
	// RemoveTo, if set, removes all that Scan visits of a part up to a sequence, at less cost
	// than Remove for many. A job calls it as long as nothing that was visited stays; Scan must
	// then visit a part from its beginning.
	RemoveTo func(ctx context.Context, part int, to uint64) error
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
	// Remove are entries of the part whose outcomes are written down, as are those of all
	// entries up to RemoveTo.
	Remove   []uint64 `json:"remove,omitempty"`
	RemoveTo uint64   `json:"remove_to,omitempty"`
	// Stays is the first entry of the part that stays, 0 as long as there is none.
	Stays uint64 `json:"stays,omitempty"`
}

// Plan implements [Kind].
func (b Blocks[E]) Plan(ctx context.Context, dry bool) (p Plan, err error) {
	p.LeftOut = map[string]int{}
	counted := !dry && b.Count != nil
	if counted { // first: what comes meanwhile is done, and must not look as if it were gone
		if p.Total, err = b.Count(ctx); err != nil {
			return p, err
		}
	}
	ends, err := b.Ends(ctx)
	if err != nil {
		return p, err
	}
	if p.From, err = json.Marshal(position{Ends: ends}); err != nil || counted {
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
	b.RemoveTo = nil // which pays for many only
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
