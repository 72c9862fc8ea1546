package jobs

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// A process that ends in the middle leaves the job to the next one, which goes on where it was.
func TestAnotherProcessGoesOn(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(20, true)
	one := r.start("one", k, r.Publisher())
	job := one.begin(order(""))
	k.open(8)
	one.until(job.ID, given(8))
	one.end()
	two := r.start("two", k, r.Publisher())
	k.open(12)
	job = two.until(job.ID, ended)
	require.Equal(t, map[string]int{"given": 20}, job.Outcomes)
	require.Equal(t, "two", job.Process)
	k.requireOnce(t, 20)
}

// A process of which nothing is heard loses its job to another one. When it comes back it writes
// nothing any more, and each number counts once.
func TestTakeoverOfAHungProcess(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(20, true)
	store := &faulty{next: r.Publisher()}
	one := r.start("one", k, store)
	job := one.begin(order(""))
	k.open(5)
	one.until(job.ID, given(5))
	store.fails(func() (bool, error) { return false, bridge.ErrUnavailable })

	other := newNumbers(20, false)
	two := r.start("two", other, r.Publisher())
	job = two.until(job.ID, ended)
	require.Equal(t, adminapi.JobDone, job.State)
	require.Equal(t, map[string]int{"given": 20}, job.Outcomes)
	require.Equal(t, "two", job.Process)
	store.fails(func() (bool, error) { return true, nil })
	require.Eventually(t, func() bool {
		one.mu.Lock()
		defer one.mu.Unlock()
		return len(one.running) == 0
	}, patience, shortTimes.look)
	after, err := two.Get(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, job, after)
	other.requireOnce(t, 15)
}

// A run after a crash goes on at once with what the one before it in the same folder worked on.
func TestTheSameFolderGoesOnAtOnce(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(20, true)
	store := &faulty{next: r.Publisher()}
	one := r.start("one", k, store)
	job := one.begin(order(""))
	k.open(5)
	one.until(job.ID, given(5))
	store.fails(func() (bool, error) { return false, bridge.ErrUnavailable })
	one.end() // it cannot give the job up

	next := New(r.JS, r.Publisher(), Config{Names: r.Names, Place: "one"})
	s := search{Jobs: next, heard: map[string]sign{}, first: true}
	have, revision, err := next.load(t.Context(), job.ID)
	require.NoError(t, err)
	require.NotEmpty(t, have.Holder)
	require.True(t, s.free(&have, revision))
	s.first = false
	require.False(t, s.free(&have, revision))
	s.first, next.cfg.Place = true, "two"
	require.False(t, s.free(&have, revision))
}

// While nothing can be written a job waits and says why, then it goes on. A write whose answer
// is lost counts once.
func TestJobsWaitForTheStore(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{bridge.ErrFull, bridge.ErrUnavailable, bridge.ErrUnknown} {
		t.Run(fault.Error(), func(t *testing.T) {
			t.Parallel()
			r, k := newRig(t), newNumbers(30, false)
			store := &faulty{next: r.Publisher()}
			var n atomic.Int64
			store.fails(func() (bool, error) {
				if n.Add(1)%3 > 0 {
					return true, nil
				}
				return fault == bridge.ErrUnknown, fmt.Errorf("publishing: %w", fault) //nolint:errorlint // the very one
			})
			p := r.start("one", k, store)
			var job adminapi.Job
			require.Eventually(t, func() (begun bool) {
				var err error
				job, err = p.Start(t.Context(), order("key"))
				return err == nil
			}, patience, shortTimes.look)
			job = p.until(job.ID, ended)
			require.Equal(t, adminapi.JobDone, job.State)
			require.Equal(t, map[string]int{"given": 30}, job.Outcomes)
			require.Equal(t, 30, job.Total)
			require.LessOrEqual(t, len(job.Errors), maxErrors)
			if fault == bridge.ErrUnknown { //nolint:errorlint // the very one
				k.requireOnce(t, 30)
			}
		})
	}
}

// A kind that fails for a while makes its job wait.
func TestAKindThatFails(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(5, false)
	var broken atomic.Bool
	broken.Store(true)
	k.before = func(n int) error {
		if n == 3 && broken.Load() {
			return bridge.ErrFull
		}
		return nil
	}
	p := r.start("one", k, r.Publisher())
	job := p.until(p.begin(order("")).ID, func(job adminapi.Job) bool { return job.Waiting != "" && len(job.Errors) == maxErrors })
	require.Equal(t, bridge.ErrFull.Error(), job.Waiting)
	require.Equal(t, adminapi.JobRunning, job.State)
	require.Equal(t, 3, job.Outcomes["given"])
	broken.Store(false)
	job = p.until(job.ID, ended)
	require.Equal(t, adminapi.JobDone, job.State)
	require.Empty(t, job.Waiting)
	k.requireOnce(t, 5)
}
