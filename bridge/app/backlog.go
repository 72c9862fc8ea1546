package app

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/view"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

// runBacklog writes into the view, every five minutes until ctx ends, how many events wait for
// consumers. What cannot be asked or written leaves a gap.
func (a *App) runBacklog(ctx context.Context) error {
	for {
		now := time.Now().UTC()
		list, err := a.store.durables().List(ctx)
		if err == nil {
			pending := make(map[string]uint64, len(list))
			for _, c := range list {
				pending[c.Name] = c.Pending
			}
			err = a.view.AddBacklog(now, pending)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Named("view").Debug("how many events wait for consumers was not written down", zap.Error(err))
		}
		if !backoff.Sleep(ctx, time.Until(now.Truncate(view.BacklogStep).Add(view.BacklogStep))) {
			return nil
		}
	}
}

// ConsumerHistory says how a consumer did.
func (o *figuresOperator) ConsumerHistory(ctx context.Context, name string) (out adminapi.ConsumerHistory, err error) {
	backlog, err := o.app.view.Backlogs(ctx, name, time.Now().UTC())
	if err != nil {
		return out, err
	}
	out.Backlog = make([]adminapi.Backlog, len(backlog))
	for i, b := range backlog {
		out.Backlog[i] = adminapi.Backlog(b)
	}
	handling, err := o.app.view.Handling(ctx, name)
	out.Attempts = adminapi.AttemptCounts{Verdicts: handling.Verdicts, P50: handling.P50.Seconds(), P95: handling.P95.Seconds(), Since: handling.Since}
	for _, n := range handling.Verdicts {
		out.Attempts.Count += n
	}
	return out, err
}
