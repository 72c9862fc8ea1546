package jobs

import (
	"context"
	"encoding/json"
	"fmt"
)

// Work is the work of one job, such as [Blocks].
type Work interface {
	// Plan is [Kind]'s.
	Plan(ctx context.Context, dry bool) (Plan, error)
	// Run is [Kind]'s.
	Run(ctx context.Context, t Task, each func(context.Context, Step) error) error
}

// KindOf returns the kind whose work is made of the id and the call of a job. work is called for
// each plan and each run, and concurrently; the id is empty for a dry run.
func KindOf[C any](work func(ctx context.Context, id string, call C) (Work, error)) Kind {
	return kindOf[C](work)
}

type kindOf[C any] func(ctx context.Context, id string, call C) (Work, error)

func (k kindOf[C]) Plan(ctx context.Context, t Task, dry bool) (Plan, error) {
	work, err := k.work(ctx, t)
	if err != nil {
		return Plan{}, err
	}
	return work.Plan(ctx, dry)
}

func (k kindOf[C]) Run(ctx context.Context, t Task, each func(context.Context, Step) error) error {
	work, err := k.work(ctx, t)
	if err != nil {
		return err
	}
	return work.Run(ctx, t, each)
}

func (k kindOf[C]) work(ctx context.Context, t Task) (Work, error) {
	var call C
	if err := json.Unmarshal(t.Call, &call); err != nil {
		return nil, Permanent(fmt.Errorf("reading what the job is to do: %w", err))
	}
	return k(ctx, t.ID, call)
}
