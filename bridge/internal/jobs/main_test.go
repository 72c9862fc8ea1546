package jobs

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/bucket"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = time.Minute

// shortTimes are long enough for a busy machine where a process must not lose a job.
var shortTimes = times{look: 20 * time.Millisecond, renew: 50 * time.Millisecond, patience: 2 * time.Second, firstRetry: time.Millisecond, lastRetry: 20 * time.Millisecond}

// numbers is work on the numbers below total, one a step.
type numbers struct {
	total int
	// gate lets one step pass for each value; nil lets all pass.
	gate chan struct{}
	// before is called before a step, whose error ends the run.
	before func(n int) error

	mu   sync.Mutex
	seen map[int]int
}

func (k *numbers) Plan(context.Context, Task, bool) (Plan, error) {
	return Plan{Total: k.total, Count: k.total, From: json.RawMessage("0")}, nil
}

func (k *numbers) Run(ctx context.Context, t Task, each func(context.Context, Step) error) error {
	at, err := strconv.Atoi(string(t.From))
	if err != nil {
		return Permanent(err)
	}
	for ; at < k.total; at++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if k.gate != nil {
			select {
			case <-k.gate:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if k.before != nil {
			if err := k.before(at); err != nil {
				return err
			}
		}
		k.mu.Lock()
		k.seen[at]++
		k.mu.Unlock()
		if err := each(ctx, Step{From: json.RawMessage(strconv.Itoa(at + 1)), Outcomes: map[string]int{"given": 1}}); err != nil {
			return err
		}
	}
	return nil
}

func (k *numbers) open(steps int) {
	for range steps {
		k.gate <- struct{}{}
	}
}

// process is a process with jobs.
type process struct {
	*Jobs

	r    *rig
	end  func()
	mu   sync.Mutex
	told []adminapi.Job
}

type rig struct {
	*streamtest.Bench
	t *testing.T
}

func newRig(t *testing.T) *rig {
	return &rig{streamtest.Start(t, streamtest.Config()), t}
}

// start starts a process, whose end the test can bring about.
func (r *rig) start(name string, kind Kind, store bucket.Store) *process {
	r.t.Helper()
	p := &process{r: r}
	p.Jobs = New(r.JS, store, Config{
		Names: r.Names, Kinds: map[string]Kind{"work": kind}, Process: name, Place: name,
		Tell: func(_ context.Context, job adminapi.Job) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.told = append(p.told, job)
		},
	})
	p.times = shortTimes
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	p.end = sync.OnceFunc(func() { cancel(); require.NoError(r.t, <-done) })
	r.t.Cleanup(p.end)
	return p
}

func order(key string) adminapi.JobOrder {
	return adminapi.JobOrder{JobCall: adminapi.JobCall{Kind: "work"}, By: "anna", Body: json.RawMessage(`{"kind":"work"}`), Rate: 100, Key: key}
}

func (p *process) begin(o adminapi.JobOrder) adminapi.Job {
	p.r.t.Helper()
	job, err := p.Start(p.r.t.Context(), o)
	require.NoError(p.r.t, err)
	return job
}

// until waits for a job of which holds is true.
func (p *process) until(id string, holds func(adminapi.Job) bool) (job adminapi.Job) {
	p.r.t.Helper()
	require.Eventually(p.r.t, func() bool {
		var err error
		job, err = p.Get(p.r.t.Context(), id)
		return err == nil && holds(job)
	}, patience, 5*time.Millisecond)
	return job
}

func ended(job adminapi.Job) bool { return job.State.Ended() }

func given(n int) func(adminapi.Job) bool {
	return func(job adminapi.Job) bool { return job.Outcomes["given"] >= n }
}

// requireSum checks that the result adds up.
func requireSum(t *testing.T, job adminapi.Job) {
	t.Helper()
	sum := job.Left
	for _, n := range job.Outcomes {
		sum += n
	}
	require.Equal(t, job.Total, sum, job)
}

// faulty is a store whose writes a test lets fail.
type faulty struct {
	next bucket.Store
	// fault returns the error of a write, nil for none, and whether it is written all the same.
	fault atomic.Pointer[func() (written bool, err error)]
}

func (s *faulty) fails(fault func() (written bool, err error)) { s.fault.Store(&fault) }

func (s *faulty) Store(ctx context.Context, stream string, m *nats.Msg) (bridge.Receipt, error) {
	written, err := true, error(nil)
	if fault := s.fault.Load(); fault != nil {
		written, err = (*fault)()
	}
	var receipt bridge.Receipt
	if written {
		if stored, storeErr := s.next.Store(ctx, stream, m); storeErr != nil {
			return stored, storeErr
		} else if err == nil {
			receipt = stored
		}
	}
	return receipt, err
}
