package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// entries is a part whose entries can be removed, one by one or all up to one of them.
type entries struct {
	mu    sync.Mutex
	there map[uint64]entryKind
	last  uint64
	all   int // calls of RemoveTo
	fails func() bool
}

type entryKind int

const (
	isGiven entryKind = iota
	isLeftOut
	isOther      // not selected
	isUnreadable // not visited
	kindsOfEntries
)

var errFails = errors.New("it fails now and then")

func (e *entries) blocks() Blocks[uint64] {
	return Blocks[uint64]{
		Ends: func(context.Context) ([]uint64, error) { return []uint64{e.last}, nil },
		Scan: func(ctx context.Context, _ int, after, before uint64, visit func(Entry[uint64]) error) error {
			behind := false
			for seq := after + 1; seq < before && ctx.Err() == nil; seq++ {
				e.mu.Lock()
				kind, there := e.there[seq]
				e.mu.Unlock()
				if behind = behind || there && kind == isUnreadable; !there || kind == isUnreadable {
					continue
				}
				if err := visit(Entry[uint64]{Sequence: seq, Selected: kind != isOther, Behind: behind, Bytes: blockBytes / 3, Value: seq}); err != nil {
					return err
				}
				behind = false
			}
			return ctx.Err()
		},
		Done:    "given",
		Removes: func(outcome string) bool { return outcome == "given" },
		Do: func(_ context.Context, block []uint64, _ bool) ([]Outcome, error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			outcomes := make([]Outcome, len(block))
			for i, seq := range block {
				outcomes[i].What = map[entryKind]string{isGiven: "given", isLeftOut: "left out"}[e.there[seq]]
			}
			return outcomes, e.failing()
		},
		Remove: func(_ context.Context, _ int, sequences []uint64) error {
			return e.remove(func(seq uint64) bool { return slices.Contains(sequences, seq) })
		},
		RemoveTo: func(_ context.Context, _ int, to uint64) error {
			e.all++ // one at a time
			return e.remove(func(seq uint64) bool { return seq <= to })
		},
	}
}

func (e *entries) failing() error {
	if e.fails() {
		return errFails
	}
	return nil
}

func (e *entries) remove(which func(uint64) bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for seq := range e.there {
		if which(seq) {
			delete(e.there, seq)
		}
	}
	return e.failing()
}

// Whatever fails, and wherever a job goes on after that: each entry counts once, exactly what
// was done is removed in the end, and what stays, is not selected or cannot be read is never
// removed, also where all entries up to one are removed at once.
func TestBlocksRemoveWhatIsDone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			others := random.IntN(4) * random.IntN(10) // in 100
			e := &entries{there: map[uint64]entryKind{}, last: 100, fails: func() bool { return false }}
			stay, selected := map[uint64]entryKind{}, 0
			for seq := range e.last {
				kind := isGiven
				if random.IntN(100) < others {
					kind = entryKind(random.IntN(int(kindsOfEntries)))
				}
				if e.there[seq+1] = kind; kind != isGiven {
					stay[seq+1] = kind
				}
				if kind == isGiven || kind == isLeftOut {
					selected++
				}
			}
			plan, err := e.blocks().Plan(t.Context(), false)
			require.NoError(t, err)
			require.Equal(t, selected, plan.Total)
			task, outcomes := Task{From: plan.From}, map[string]int{}
			tries := 0
			e.fails = func() bool { tries++; return tries < 40 && tries%(int(seed%5)+2) == 0 }
			for err = errFails; err != nil; {
				err = e.blocks().Run(t.Context(), task, func(_ context.Context, s Step) error {
					e.mu.Lock()
					defer e.mu.Unlock()
					if err := e.failing(); err != nil {
						return err
					}
					task.From = s.From
					for outcome, n := range s.Outcomes {
						outcomes[outcome] += n
					}
					return nil
				})
			}
			require.Equal(t, selected, outcomes["given"]+outcomes["left out"])
			require.Equal(t, stay, e.there)
			require.Positive(t, e.all+others)
		})
	}
}

// A job that goes on from where nothing says whether entries stay removes them one by one.
func TestBlocksRemoveOneByOneWhereTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	e := &entries{there: map[uint64]entryKind{1: isLeftOut, 2: isGiven, 3: isGiven}, last: 3, fails: func() bool { return false }}
	from, err := json.Marshal(position{After: 1, Ends: []uint64{3}})
	require.NoError(t, err)
	require.NoError(t, e.blocks().Run(t.Context(), Task{From: from}, func(context.Context, Step) error { return nil }))
	require.Equal(t, map[uint64]entryKind{1: isLeftOut}, e.there)
	require.Zero(t, e.all)
}

// A cancelled run still removes what is done.
func TestCancelledBlocksRemoveWhatIsDone(t *testing.T) {
	t.Parallel()
	e := &entries{there: map[uint64]entryKind{1: isGiven, 2: isGiven, 3: isGiven, 4: isGiven}, last: 4, fails: func() bool { return false }}
	from, err := json.Marshal(position{After: 2, RemoveTo: 2, Ends: []uint64{4}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, e.blocks().Run(ctx, Task{From: from}, func(context.Context, Step) error { return nil }), context.Canceled)
	require.Equal(t, map[uint64]entryKind{3: isGiven, 4: isGiven}, e.there)
	e.fails = func() bool { return true }
	require.ErrorIs(t, e.blocks().Run(ctx, Task{From: from}, nil), errUnremoved)
}
