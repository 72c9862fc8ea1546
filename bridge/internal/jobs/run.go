package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/bucket"
	"github.com/hookspan/hookspan/internal/backoff"
)

// times are measured by each process's own monotonic clock: the clocks of two processes are
// never compared.
type times struct {
	// look is how often a process looks for jobs.
	look time.Duration
	// renew is how often who works on a job says so.
	renew time.Duration
	// patience is how long another process must not have heard that before it takes the job.
	patience time.Duration
	// firstRetry and lastRetry space the tries to go on.
	firstRetry, lastRetry time.Duration
}

var defaultTimes = times{look: 2 * time.Second, renew: 3 * time.Second, patience: 15 * time.Second, firstRetry: 250 * time.Millisecond, lastRetry: 5 * time.Second}

// Run works on jobs until ctx ends, finishes the steps that are begun, and returns nil. It is
// called once.
func (j *Jobs) Run(ctx context.Context) error {
	s := search{Jobs: j, ended: map[string]bool{}, heard: map[string]sign{}, first: true}
	defer s.group.Wait()
	told := false
	for ctx.Err() == nil {
		err := s.look(ctx)
		if err != nil && ctx.Err() == nil && !told {
			j.log.Info("jobs wait, since their state cannot be read", zap.Error(err))
		}
		told = err != nil
		timer := time.NewTimer(j.times.look)
		select {
		case <-ctx.Done():
		case <-j.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// search finds the jobs that this process is to work on. It belongs to one goroutine.
type search struct {
	*Jobs

	group sync.WaitGroup
	ended map[string]bool
	// heard is the last sign of life of the jobs that others work on.
	heard map[string]sign
	// first: this process has looked at no job yet.
	first bool
}

type sign struct {
	revision uint64
	since    time.Time
}

func (s *search) look(ctx context.Context) error {
	ids, err := s.ids(ctx)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, id := range ids {
		there[id] = true
		if err := s.lookAt(ctx, id); err != nil {
			return err
		}
	}
	maps.DeleteFunc(s.ended, func(id string, _ bool) bool { return !there[id] })
	maps.DeleteFunc(s.heard, func(id string, _ sign) bool { return !there[id] })
	s.first = false
	return nil
}

func (s *search) lookAt(ctx context.Context, id string) error {
	s.mu.Lock()
	working, room := s.running[id] != nil, len(s.running) < maxRunning
	s.mu.Unlock()
	if s.ended[id] || working {
		return nil
	}
	r, revision, err := s.load(ctx, id)
	switch {
	case errors.Is(err, bridge.ErrNotFound):
		return nil
	case err != nil:
		return err
	case r.Job.State.Ended():
		s.ended[id] = true
		return nil
	}
	kind, ours := s.cfg.Kinds[r.Job.Kind]
	if !ours || !room && !r.Cancel || !s.free(&r, revision) {
		return nil
	}
	r.Holder, r.Place, r.Job.Process = rand.Text(), s.cfg.Place, s.cfg.Process
	r.N++
	revision, err = s.bucket.Put(ctx, r.key(), r, revision, 0)
	if errors.Is(err, bucket.ErrChanged) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	h := &holding{Jobs: s.Jobs, kind: kind, id: id, process: ctx, rec: r, revision: revision, wrote: time.Now()}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	s.mu.Lock()
	s.running[id] = h
	s.mu.Unlock()
	s.metrics.running.WithLabelValues(r.Job.Kind).Inc()
	s.group.Go(func() { //nolint:contextcheck // what is begun is finished also when ctx ends
		defer s.Jobs.look() // another job may have waited for the slot
		defer func() {
			s.mu.Lock()
			delete(s.running, id)
			s.mu.Unlock()
		}()
		defer s.metrics.running.WithLabelValues(r.Job.Kind).Dec()
		defer h.cancel(nil)
		h.work()
	})
	return nil
}

// free reports whether nobody works on the job: nothing was heard for too long, or the process
// that did was the one before this one.
func (s *search) free(r *record, revision uint64) bool {
	if r.Holder == "" || s.first && r.Place == s.cfg.Place {
		return true
	}
	if s.heard[r.Job.ID].revision != revision {
		s.heard[r.Job.ID] = sign{revision, time.Now()}
	}
	return time.Since(s.heard[r.Job.ID].since) >= s.times.patience
}

// errCancelled ends the work on a job that somebody has cancelled, errLost on one that another
// process has.
var (
	errCancelled = errors.New("the job is cancelled")
	errLost      = errors.New("another process works on the job")
)

// keepAlive says every few seconds that this process works on the job, until ctx ends.
func (h *holding) keepAlive(ctx context.Context) {
	for backoff.Sleep(ctx, h.times.renew) {
		h.mu.Lock()
		quiet := time.Since(h.wrote) >= h.times.renew
		h.mu.Unlock()
		if !quiet {
			continue
		}
		if err := h.change(ctx, func(*record) {}); err != nil && ctx.Err() == nil {
			h.log.Debug("it is not written down that a job is worked on, trying again", zap.String("job", h.id), zap.Error(err))
		}
	}
}
