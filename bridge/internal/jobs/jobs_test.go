package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func newNumbers(total int, gated bool) *numbers {
	k := &numbers{total: total, seen: map[int]int{}}
	if gated {
		k.gate = make(chan struct{})
	}
	return k
}

func (k *numbers) requireOnce(t *testing.T, n int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	require.Len(t, k.seen, n)
	for number, times := range k.seen {
		require.Equal(t, 1, times, number)
	}
}

// A job runs from its start to its end, tells of both, and adds up.
func TestJob(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(20, true)
	p := r.start("one", k, r.Publisher())
	job := p.begin(order(""))
	require.Equal(t, adminapi.JobQueued, job.State)
	k.open(5)
	job = p.until(job.ID, given(5))
	require.Equal(t, adminapi.JobRunning, job.State)
	require.Equal(t, 15, job.Left)
	require.Equal(t, "one", job.Process)
	require.False(t, job.StartedAt.IsZero())
	requireSum(t, job)
	k.open(15)
	job = p.until(job.ID, ended)
	require.Equal(t, adminapi.JobDone, job.State)
	require.Equal(t, map[string]int{"given": 20}, job.Outcomes)
	require.Zero(t, job.Left)
	require.Empty(t, job.Errors)
	k.requireOnce(t, 20)
	p.end()
	require.Len(t, p.told, 2)
	require.Equal(t, adminapi.JobQueued, p.told[0].State)
	require.Equal(t, adminapi.JobDone, p.told[1].State)
	require.Equal(t, "anna", p.told[1].By)
	require.InDelta(t, 20, testutil.ToFloat64(p.metrics.entries.WithLabelValues("work")), 0)
	require.InDelta(t, 1, testutil.ToFloat64(p.metrics.ended.WithLabelValues("work", "done")), 0)
	require.Zero(t, testutil.ToFloat64(p.metrics.running.WithLabelValues("work")))

	plan, err := p.Plan(t.Context(), order(""))
	require.NoError(t, err)
	require.Equal(t, adminapi.JobPlan{Kind: "work", DryRun: true, Total: 20, Count: 20, LeftOut: map[string]int{}, Rate: 100, TakesSeconds: 0.2}, plan)
	unknown := order("")
	unknown.Kind = "other"
	_, err = p.Start(t.Context(), unknown)
	require.ErrorIs(t, err, adminapi.ErrJobKind)
	for _, id := range []string{"", "x", "*", ">", "../leader", "leader"} {
		_, err = p.Get(t.Context(), id)
		require.ErrorIs(t, err, bridge.ErrNotFound, id)
	}
}

// Calls with one key are one job, however many are made at once; without a key each is one.
func TestOneKeyIsOneJob(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(3, false)
	p := r.start("one", k, r.Publisher())
	var calls sync.WaitGroup
	ids := make([]string, 5)
	for i := range ids {
		calls.Go(func() {
			job, err := p.Start(t.Context(), order("key"))
			if err == nil {
				ids[i] = job.ID
			}
		})
	}
	calls.Wait()
	require.NotEmpty(t, ids[0])
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
	p.until(ids[0], ended)
	again := p.begin(order("key"))
	require.Equal(t, adminapi.JobDone, again.State)
	k.requireOnce(t, 3)
	other := order("key")
	other.Body = []byte(`{"kind":"work","rate":5}`)
	_, err := p.Start(t.Context(), other)
	require.ErrorIs(t, err, adminapi.ErrOtherJob)
	p.begin(order(""))
	p.begin(order(""))
	list, err := p.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, ids[0], list[2].ID, "the newest is first")
}

// A cancelled job ends after its step and adds up. A second cancel, and one of a job that has
// ended, changes nothing.
func TestCancel(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(20, true)
	one := r.start("one", k, r.Publisher())
	two := r.start("two", newNumbers(20, true), r.Publisher()) // it may be asked too
	job := one.begin(order(""))
	// Whichever works on it.
	worker := one
	if one.until(job.ID, func(job adminapi.Job) bool { return job.State == adminapi.JobRunning }).Process == "two" {
		worker, k = two, two.cfg.Kinds["work"].(*numbers)
	}
	k.open(7)
	worker.until(job.ID, given(7))
	_, err := two.Cancel(t.Context(), job.ID)
	require.NoError(t, err)
	_, err = one.Cancel(t.Context(), job.ID)
	require.NoError(t, err)
	job = one.until(job.ID, ended)
	require.Equal(t, adminapi.JobCancelled, job.State)
	require.Equal(t, 7, job.Outcomes["given"])
	require.Equal(t, 13, job.Left)
	require.False(t, job.Cancelling)
	again, err := one.Cancel(t.Context(), job.ID)
	require.NoError(t, err)
	require.Equal(t, job, again)
	_, err = one.Cancel(t.Context(), "abcdefghijklmnopqrstuvwxyz")
	require.ErrorIs(t, err, bridge.ErrNotFound)
}

// A job is queued while the process works on as many as it may, and can be cancelled there.
func TestQueue(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(1, true)
	p := r.start("one", k, r.Publisher())
	for range maxRunning {
		job := p.begin(order(""))
		p.until(job.ID, func(job adminapi.Job) bool { return job.State == adminapi.JobRunning })
	}
	cancelled, waits := p.begin(order("")), p.begin(order(""))
	_, err := p.Cancel(t.Context(), cancelled.ID)
	require.NoError(t, err)
	job := p.until(cancelled.ID, ended)
	require.Equal(t, adminapi.JobCancelled, job.State)
	require.Zero(t, job.Total)
	job, err = p.Get(t.Context(), waits.ID)
	require.NoError(t, err)
	require.Equal(t, adminapi.JobQueued, job.State)
	k.open(maxRunning + 1)
	p.until(waits.ID, ended)
}

// What the call expects must match, or nothing is done. What cannot go on says why, and a panic
// ends the job alone.
func TestJobsThatFail(t *testing.T) {
	t.Parallel()
	r, k := newRig(t), newNumbers(5, false)
	p := r.start("one", k, r.Publisher())
	expects := order("")
	expects.Expect = new(int)
	*expects.Expect = 4
	job := p.until(p.begin(expects).ID, ended)
	require.Equal(t, adminapi.JobFailed, job.State)
	require.Contains(t, job.Error, "5 match and not 4")
	requireSum(t, job)
	k.requireOnce(t, 0)
	*expects.Expect = 5
	require.Equal(t, adminapi.JobDone, p.until(p.begin(expects).ID, ended).State)

	k.before = func(n int) error {
		if n == 2 {
			return fmt.Errorf("looking: %w", Permanent(errors.New("the consumer is gone")))
		}
		return nil
	}
	job = p.until(p.begin(order("")).ID, ended)
	require.Equal(t, adminapi.JobFailed, job.State)
	require.Equal(t, "looking: the consumer is gone", job.Error)
	require.Equal(t, 3, job.Left)
	requireSum(t, job)

	k.before = func(int) error { panic("broken") }
	job = p.until(p.begin(order("")).ID, ended)
	require.Equal(t, adminapi.JobFailed, job.State)
	require.Contains(t, job.Error, "broken")
}

// The jobs that ended first make room for others. Without one there is no further job.
func TestJobsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	quiet := New(r.JS, r.Publisher(), Config{Names: r.Names, Kinds: map[string]Kind{"work": newNumbers(1, false)}, Tell: func(context.Context, adminapi.Job) {}})
	var ids []string
	for range maxKept {
		job, err := quiet.Start(t.Context(), order(""))
		require.NoError(t, err)
		ids = append(ids, job.ID)
	}
	_, err := quiet.Start(t.Context(), order(""))
	require.ErrorIs(t, err, adminapi.ErrBusy)

	p := r.start("one", newNumbers(1, false), r.Publisher())
	for _, id := range ids {
		p.until(id, ended)
	}
	p.begin(order(""))
	list, err := p.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, maxKept)
}
