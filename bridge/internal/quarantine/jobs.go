package quarantine

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// settledAtOnce is how many entries of a block become events at once: the journal syncs them
// together.
const settledAtOnce = 32

// ReverifyJob returns the jobs that do what [Reverifier.Reverify] does. They need the secrets.
func (r *Reverifier) ReverifyJob() jobs.Kind {
	return jobs.KindOf(func(_ context.Context, _ string, c adminapi.KeptCall) (jobs.Work, error) {
		work := r.blocks(c.Selection())
		work.Done, work.Removes = adminapi.OutcomeEvents, becameEvent
		work.Do = func(ctx context.Context, block []adminapi.KeptEntry, dry bool) ([]jobs.Outcome, error) {
			outcomes := make([]jobs.Outcome, len(block))
			group, ctx := errgroup.WithContext(ctx)
			group.SetLimit(settledAtOnce)
			for i := range block {
				group.Go(func() (err error) {
					event, cause := r.event(&block[i], c.ReverifyOptions)
					outcomes[i].What, err = r.settle(ctx, event, cause, dry)
					return err
				})
			}
			return outcomes, group.Wait()
		}
		return work, nil
	})
}

// DropJob returns the jobs that do what [Reverifier.Drop] does.
func (r *Reverifier) DropJob() jobs.Kind {
	return jobs.KindOf(func(_ context.Context, _ string, c adminapi.KeptCall) (jobs.Work, error) {
		return r.blocks(c.Selection()).Dropping(), nil
	})
}

// blocks is work on the selected entries; its parts are the places.
func (r *Reverifier) blocks(sel adminapi.KeptSelection) jobs.Blocks[adminapi.KeptEntry] {
	places := adminapi.Places()
	if sel.Place != "" {
		places = []string{sel.Place}
	}
	return jobs.Blocks[adminapi.KeptEntry]{
		Ends: func(ctx context.Context) ([]uint64, error) {
			ends := make([]uint64, len(places))
			for i, place := range places {
				var err error
				if ends[i], err = r.store.Last(ctx, place); err != nil {
					return nil, err
				}
			}
			return ends, nil
		},
		Scan: func(ctx context.Context, part int, after, before uint64, visit func(jobs.Entry[adminapi.KeptEntry]) error) error {
			sel := sel
			sel.Place, sel.After, sel.Before = places[part], max(sel.After, after), before
			return r.store.Walk(ctx, sel, func(e adminapi.KeptEntry) error {
				return visit(jobs.Entry[adminapi.KeptEntry]{Sequence: e.Sequence, StoredAt: e.ReceivedAt, Selected: true, Bytes: len(e.Body), Value: e})
			})
		},
		Remove: func(ctx context.Context, part int, sequences []uint64) error {
			return r.store.RemoveAll(ctx, places[part], sequences)
		},
	}
}
