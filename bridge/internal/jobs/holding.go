package jobs

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/bucket"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

// writeTimeout bounds one write of a job's record, also while the process ends.
const writeTimeout = 5 * time.Second

// maxUnremoved bounds the tries of a cancelled job to remove what is done.
const maxUnremoved = 3

// holding is a job that this process works on. What the bucket has is the truth: after each
// error the work goes on from there.
type holding struct {
	*Jobs

	kind Kind
	id   string
	// ctx ends with the work, and its cause says why; process ends with the process.
	ctx, process context.Context
	cancel       context.CancelCauseFunc

	mu       sync.Mutex
	rec      record
	revision uint64
	wrote    time.Time
}

// work works on the job until it has ended, another process has it, or this process ends.
func (h *holding) work() {
	alive, stop := context.WithCancel(h.ctx)
	var beside sync.WaitGroup
	beside.Go(func() { h.keepAlive(alive) })
	defer beside.Wait()
	defer stop()
	retry := backoff.Backoff{First: h.times.firstRetry, Max: h.times.lastRetry}
	for tries := 0; ; {
		before := h.now().N
		err := h.attempt(h.ctx)
		var done bool
		switch cause := context.Cause(h.ctx); {
		case errors.Is(cause, errLost):
			h.log.Info("another process works on a job of this one", zap.String("job", h.id))
			return
		case errors.Is(cause, errCancelled) && (!errors.Is(err, errUnremoved) || tries == maxUnremoved):
			done = h.end(adminapi.JobCancelled, nil)
		case err == nil && cause == nil:
			done = h.end(adminapi.JobDone, nil)
		case errors.Is(cause, errCancelled):
			tries++
			h.wait(err)
		case cause != nil:
			h.release()
			return
		case isPermanent(err):
			done = h.end(adminapi.JobFailed, err)
		default:
			h.wait(err)
		}
		if done {
			return
		}
		if h.now().N > before+1 { // more than the note of the error
			retry.Reset()
		}
		if h.ctx.Err() == nil {
			backoff.Sleep(h.ctx, retry.Next())
		} else if !backoff.Sleep(h.process, retry.Next()) { // the end is still to be written
			return
		}
	}
}

func isPermanent(err error) bool {
	_, permanent := errors.AsType[*permanentError](err)
	return permanent
}

// now returns the record as it was last written.
func (h *holding) now() record {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rec.clone()
}

// attempt counts, unless that is done, and runs the kind. A panic of the kind ends the job, not
// the process.
func (h *holding) attempt(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("a job has panicked", zap.String("job", h.id), zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = Permanent(fmt.Errorf("it has panicked, the log says where: %v", p))
		}
	}()
	r := h.now()
	if r.Cancel {
		h.cancel(errCancelled)
		if r.Job.State != adminapi.JobRunning {
			return nil
		}
		// The kind ends soon, and removes before what is done.
	}
	task := Task{ID: h.id, Call: r.Job.Call, Rate: r.Job.Rate}
	if r.Job.State != adminapi.JobRunning {
		if err := h.count(ctx, task, &r); err != nil {
			return err
		}
		r = h.now()
	}
	task.From = r.From
	began, before := time.Now(), r.done()
	return h.kind.Run(ctx, task, func(ctx context.Context, s Step) error {
		err := h.change(ctx, func(r *record) { r.add(s, before, began) })
		if err == nil {
			h.metrics.worked(r.Job.Kind, s.Outcomes)
		}
		return err
	})
}

func (h *holding) count(ctx context.Context, task Task, r *record) error {
	if r.Job.State == adminapi.JobQueued {
		err := h.change(ctx, func(r *record) { r.Job.State, r.Job.StartedAt = adminapi.JobCounting, time.Now().UTC() })
		if err != nil {
			return err
		}
	}
	plan, err := h.kind.Plan(ctx, task, false)
	if err != nil {
		return err
	}
	if expect := r.Expect; expect != nil && *expect != plan.Total {
		err := h.change(ctx, func(r *record) { r.Job.Total = plan.Total })
		return errors.Join(err, Permanent(fmt.Errorf("%d match and not %d, as the call expects: nothing was done. Look at them again", plan.Total, *expect)))
	}
	return h.change(ctx, func(r *record) {
		r.Job.Total, r.From, r.Job.State, r.Job.Waiting = plan.Total, plan.From, adminapi.JobRunning, ""
	})
}

// change writes the changed record, also when ctx has ended. It ends the work on a job that
// somebody has cancelled, and on one that another process has, with the error errLost.
func (h *holding) change(ctx context.Context, mutate func(*record)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		next := h.rec.clone()
		mutate(&next)
		next.N++
		revision, err := h.bucket.Put(ctx, next.key(), next, h.revision, 0)
		if err != nil {
			have, at, loadErr := h.load(ctx, h.id)
			switch {
			case loadErr != nil && !errors.Is(loadErr, bridge.ErrNotFound):
				return errors.Join(err, loadErr)
			case have.Holder == next.Holder && have.N == next.N: // only the answer was lost
				next, revision = have, at
			case have.Holder == h.rec.Holder && have.N == h.rec.N:
				h.rec.Cancel, h.revision = have.Cancel, at
				if !errors.Is(err, bucket.ErrChanged) {
					return err
				}
				continue // somebody has cancelled the job
			default:
				h.cancel(errLost)
				return errLost
			}
		}
		h.rec, h.revision, h.wrote = next, revision, time.Now()
		if next.Cancel {
			h.cancel(errCancelled)
		}
		return nil
	}
}

// end writes that the job has ended, and reports whether that is written, or none of our
// business any more.
func (h *holding) end(state adminapi.JobState, err error) bool {
	err = h.change(h.ctx, func(r *record) { r.end(state, err) })
	if err == nil {
		ended := h.now()
		h.metrics.ended.WithLabelValues(ended.Job.Kind, string(state)).Inc()
		h.cfg.Tell(context.WithoutCancel(h.ctx), ended.view())
	} else if !errors.Is(err, errLost) {
		h.log.Info("the end of a job is not written down yet, trying again", zap.String("job", h.id), zap.Error(err))
		return false
	}
	return true
}

// wait says why the job does not go on at present.
func (h *holding) wait(why error) {
	h.log.Info("a job waits", zap.String("job", h.id), zap.Error(why))
	// Without the note an operator sees the job as it was; NATS is probably away.
	_ = h.change(h.ctx, func(r *record) {
		r.note(why.Error())
		r.Job.Waiting, r.Job.PerSecond = r.Job.Errors[len(r.Job.Errors)-1].Text, 0
	})
}

// release lets another process, or the next run of this one, take the job at once.
func (h *holding) release() {
	if err := h.change(h.ctx, func(r *record) { r.Holder = "" }); err != nil {
		h.log.Debug("a job was not given up, others take it when nothing is heard of this process", zap.String("job", h.id), zap.Error(err))
	}
}
