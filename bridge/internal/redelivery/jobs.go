package redelivery

import (
	"cmp"
	"context"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Kinds returns the jobs that redrive and drop dead letters and that replay events.
func (r *Redeliverer) Kinds() map[string]jobs.Kind {
	return map[string]jobs.Kind{
		adminapi.JobRedrive: jobs.KindOf(func(_ context.Context, _ string, c adminapi.DeadCall) (jobs.Work, error) {
			return tellingOutputs(r.redriving(c.Selection(), c.Handled), r.cfg.Outputs, func(e adminapi.DeadEntry) *bridge.Event { return e.Event }), nil
		}),
		adminapi.JobDropDead: jobs.KindOf(func(_ context.Context, _ string, c adminapi.DeadCall) (jobs.Work, error) {
			return r.deadBlocks(c.Selection()).Dropping(), nil
		}),
		adminapi.JobReplay: jobs.KindOf(func(ctx context.Context, id string, c adminapi.EventCall) (jobs.Work, error) {
			work, err := r.replaying(ctx, c.Consumer, cmp.Or(c.Run, id), c.Selection(), c.Handled)
			return tellingOutputs(work, r.cfg.Outputs, func(e adminapi.EventEntry) *bridge.Event { return e.Event }), err
		}),
	}
}
