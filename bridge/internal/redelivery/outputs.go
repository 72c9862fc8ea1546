package redelivery

import (
	"context"
	"hash/maphash"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Prediction names a prediction.
type Prediction struct{ Source, ID string }

// maxOutputsOf bounds the predictions whose outputs a dry run looks for: each takes a read of the
// view.
const maxOutputsOf = 20_000

// outputsWork is work whose dry run says also where the outputs are of what it would give.
type outputsWork[E any] struct {
	jobs.Blocks[E]

	find  func(ctx context.Context, of []Prediction, to *adminapi.OutputsPlan) error
	event func(E) *bridge.Event
	seed  maphash.Seed
	seen  map[uint64]bool
	found *adminapi.OutputsPlan
}

// tellingOutputs returns the work with a dry run that says where the outputs are of the predictions
// of the events that would be given. Find and event are nil for entries without one.
func tellingOutputs[E any](work jobs.Blocks[E], find func(context.Context, []Prediction, *adminapi.OutputsPlan) error, event func(E) *bridge.Event) jobs.Work {
	w := &outputsWork[E]{Blocks: work, find: find, event: event, seed: maphash.MakeSeed(), seen: map[uint64]bool{}}
	if find != nil {
		w.Do = func(ctx context.Context, block []E, dry bool) ([]jobs.Outcome, error) {
			outcomes, err := work.Do(ctx, block, dry)
			if err == nil && dry {
				w.look(ctx, block, outcomes)
			}
			return outcomes, err
		}
	}
	return w
}

// Plan implements [jobs.Work].
func (w *outputsWork[E]) Plan(ctx context.Context, dry bool) (jobs.Plan, error) {
	if w.find != nil {
		w.found = &adminapi.OutputsPlan{}
	}
	plan, err := w.Blocks.Plan(ctx, dry)
	if dry {
		plan.Outputs = w.found
	}
	return plan, err
}

// look counts the outputs of a block. A view that cannot be asked does not keep a person from the
// rest of the answer: then nothing is said about outputs.
func (w *outputsWork[E]) look(ctx context.Context, block []E, outcomes []jobs.Outcome) {
	if w.found == nil || w.found.More {
		return
	}
	var of []Prediction
	for i, e := range block {
		ev := w.event(e)
		if ev == nil || outcomes[i].What != w.Done {
			continue
		}
		p := Prediction{ev.Source, ev.PredictionID}
		sum := maphash.Comparable(w.seed, p)
		if w.seen[sum] {
			continue
		}
		if len(w.seen) == maxOutputsOf {
			w.found.More = true
			break
		}
		w.seen[sum] = true
		of = append(of, p)
	}
	if len(of) > 0 && w.find(ctx, of, w.found) != nil {
		w.found = nil
	}
}
