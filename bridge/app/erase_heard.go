package app

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/jobs"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

// eraseRetry and eraseRetryMax bound the growing pause before this process tries again to remove
// from its files what another one has erased.
const eraseRetry, eraseRetryMax = time.Second, time.Minute

// runErasing hears of what other processes erase, and removes it from the files of this one.
func (a *App) runErasing() error {
	log := a.log.Named("erase")
	var heard []chan struct{}
	// follow does what removes from one place, each time that something was heard of.
	follow := func(place string, awaits func(heard <-chan struct{}) bool, do func(context.Context) error) {
		told := make(chan struct{}, 1)
		heard = append(heard, told)
		a.group.Go(func() error {
			for awaits(told) {
				untilErased(a.ctx, log.With(zap.String("place", place)), do)
			}
			return nil
		})
	}
	if a.store.journal != nil {
		follow("journal", a.erasedElsewhere, func(ctx context.Context) error {
			return errors.Join(a.store.forwarded(ctx), a.store.trimJournal(ctx))
		})
	}
	if a.view != nil {
		follow("view", a.jobsErased, func(ctx context.Context) error { return a.view.EraseAll(ctx, a.store.erased.Has) })
	}
	a.group.Go(a.provisioner.whenProvisioned(a.ctx, func(ctx context.Context) error {
		return a.store.erased.Run(ctx, func(context.Context) {
			a.forgetPages()
			for _, told := range heard {
				select {
				case told <- struct{}{}:
				default:
				}
			}
		})
	}))
	if a.late != nil {
		a.group.Go(func() error { return a.late.Run(a.ctx) })
	}
	return nil
}

// untilErased does what removes from a place until it has succeeded or ctx ends. The log has one
// line when it begins to fail and one when it has succeeded.
func untilErased(ctx context.Context, log *zap.Logger, do func(context.Context) error) {
	retry := backoff.Backoff{First: eraseRetry, Max: eraseRetryMax}
	for failed := false; ; failed = true {
		err := do(ctx)
		switch {
		case err == nil && failed:
			log.Info("what another process has erased is gone from the files of this one")
			return
		case err == nil:
			return
		case !failed && ctx.Err() == nil:
			log.Warn("what another process has erased is not gone from the files of this one yet, trying again until it is", zap.Error(err))
		}
		if !retry.Wait(ctx) {
			return
		}
	}
}

// erasedElsewhere returns true when erasures were heard of, and false when the process ends.
func (a *App) erasedElsewhere(heard <-chan struct{}) bool {
	select {
	case <-a.ctx.Done():
		return false
	case <-heard:
		return true
	}
}

// jobsLook is how often somebody looks whether a job still erases.
const jobsLook = time.Second

// jobsErased returns true when erasures were heard of and no job erases any more: a job that goes
// on after a kill finds by the view what is left elsewhere. It returns false when the process ends.
func (a *App) jobsErased(heard <-chan struct{}) bool {
	if !a.erasedElsewhere(heard) {
		return false
	}
	known := jobs.New(a.store.consume, a.store.publisher, jobs.Config{Names: a.cfg.Names()})
	for {
		list, err := known.List(a.ctx)
		if err == nil && !slices.ContainsFunc(list, func(j adminapi.Job) bool { return j.Kind == adminapi.JobErase && !j.State.Ended() }) {
			return true
		}
		if !backoff.Sleep(a.ctx, jobsLook) {
			return false
		}
	}
}
