// Package jobs does work on all entries that match a selection: a [Kind] plans and does it, and
// [Jobs] keeps how far each job is, in the bucket that all processes share. Any number of
// processes may run Jobs: one at a time works on a job, and another one goes on where it was when
// nothing is heard of the first one.
package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/bucket"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// maxKept bounds the jobs that are kept: the ones that ended first go. maxRunning bounds
	// those that one process works on at once; others are queued.
	maxKept, maxRunning = 100, 4
	// planTime bounds a dry run, so that its HTTP client gets an answer.
	planTime = 40 * time.Second
)

// Task is a job for its kind.
type Task struct {
	// ID is the same in each run of the job.
	ID string
	// Call is what was asked for, as the kind's call.
	Call json.RawMessage
	// Rate bounds the entries a second.
	Rate float64
	// From is where to go on: that of the plan, or of the last step.
	From json.RawMessage
}

// Plan is what a kind says before it begins.
type Plan struct {
	// Total is how many entries match, and Oldest when the oldest was stored.
	Total  int
	Oldest time.Time
	// Count is how many of them would be done, and LeftOut how many not, by outcome; only of a
	// dry run.
	Count   int
	LeftOut map[string]int
	// Outputs says where outputs are, nil for work that does not tell; only of a dry run.
	Outputs *adminapi.OutputsPlan
	// From is where the first run begins.
	From json.RawMessage
}

// Step is what was done since the last step.
type Step struct {
	// From is where to go on after it.
	From json.RawMessage
	// Outcomes counts what became of the entries.
	Outcomes map[string]int
	// Errors are for operators.
	Errors []string
}

// Kind is one kind of work. It is safe for concurrent use.
type Kind interface {
	// Plan counts what matches and changes nothing. A dry run says also what would become of
	// it; when ctx ends before, it returns what it has counted with the error of ctx.
	Plan(ctx context.Context, t Task, dry bool) (Plan, error)
	// Run works from t.From on. It calls each after each step, and goes on once that has
	// returned nil: then the step is durable. Whatever was done since the last step is done
	// again after a crash, and must count once. Run returns nil when everything is done, soon
	// after ctx has ended, and with an error; after one that is not [Permanent] it is called
	// again.
	Run(ctx context.Context, t Task, each func(context.Context, Step) error) error
}

// Permanent marks an error of a [Kind] after which no further try can help.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ error }

func (e *permanentError) Unwrap() error { return e.error }

// Config of [Jobs].
type Config struct {
	Names bridge.Names
	// Kinds is what this process can do, by name.
	Kinds map[string]Kind
	// Process names this process for operators.
	Process string
	// Place names the data folder: only one process at a time has it. So a process goes on at
	// once with the jobs of the one before it.
	Place string
	// Tell is called with each job when it is begun, by the process that was asked, and when it
	// has ended, by the one that has worked on it. It is called concurrently.
	Tell func(ctx context.Context, job adminapi.Job)
	// Logger may be nil.
	Logger *zap.Logger
}

// Jobs is safe for concurrent use.
type Jobs struct {
	cfg    Config
	log    *zap.Logger
	bucket *bucket.Bucket
	times  times
	wake   chan struct{}

	metrics metrics

	mu      sync.Mutex
	running map[string]*holding
}

// New returns jobs that are kept with js and store.
func New(js jetstream.JetStream, store bucket.Store, cfg Config) *Jobs {
	return &Jobs{
		cfg: cfg, log: cmp.Or(cfg.Logger, zap.NewNop()).Named("jobs"), times: defaultTimes,
		bucket: &bucket.Bucket{JS: js, Names: cfg.Names, Store: store},
		wake:   make(chan struct{}, 1), running: map[string]*holding{}, metrics: newMetrics(cfg.Kinds),
	}
}

// Plan says what a job would do. The error wraps [adminapi.ErrJobKind].
func (j *Jobs) Plan(ctx context.Context, o adminapi.JobOrder) (adminapi.JobPlan, error) {
	kind, err := j.kind(o.Kind)
	if err != nil {
		return adminapi.JobPlan{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, planTime)
	defer cancel()
	p, err := kind.Plan(ctx, Task{Call: o.Body, Rate: o.Rate}, true)
	more := errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil
	if more {
		err = nil
	}
	if p.LeftOut == nil {
		p.LeftOut = map[string]int{}
	}
	return adminapi.JobPlan{
		Kind: o.Kind, DryRun: true, Total: p.Total, Count: p.Count, LeftOut: p.LeftOut, Oldest: p.Oldest,
		Rate: o.Rate, TakesSeconds: float64(p.Total) / o.Rate, More: more, Outputs: p.Outputs,
	}, err
}

func (j *Jobs) kind(name string) (Kind, error) {
	kind, ok := j.cfg.Kinds[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s", adminapi.ErrJobKind, name)
	}
	return kind, nil
}

// Start begins a job, or returns the one that was begun with the same key. The error wraps
// [adminapi.ErrJobKind], [adminapi.ErrOtherJob] for a key of another job, and [adminapi.ErrBusy]
// when too many jobs have not ended.
func (j *Jobs) Start(ctx context.Context, o adminapi.JobOrder) (adminapi.Job, error) {
	if _, err := j.kind(o.Kind); err != nil {
		return adminapi.Job{}, err
	}
	if err := j.makeRoom(ctx); err != nil {
		return adminapi.Job{}, err
	}
	r := newRecord(o)
	_, err := j.bucket.Put(ctx, r.key(), r, 0, 0)
	if errors.Is(err, bucket.ErrChanged) || errors.Is(err, bridge.ErrUnknown) {
		have, _, loadErr := j.load(ctx, r.Job.ID)
		switch {
		case loadErr != nil:
			return adminapi.Job{}, errors.Join(err, loadErr)
		case string(have.Job.Call) != string(r.Job.Call):
			return adminapi.Job{}, adminapi.ErrOtherJob
		case have.Claim != r.Claim:
			return have.view(), nil
		}
		err = nil // it is ours, and only the answer was lost
	}
	if err != nil {
		return adminapi.Job{}, err
	}
	j.look()
	j.cfg.Tell(ctx, r.view())
	return r.view(), nil
}

// look has [Jobs.Run] look at the jobs at once.
func (j *Jobs) look() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// makeRoom removes the jobs that ended first, so that there is room for one more.
func (j *Jobs) makeRoom(ctx context.Context) error {
	ids, err := j.ids(ctx)
	if err != nil || len(ids) < maxKept {
		return err
	}
	var ended []record
	for _, id := range ids {
		r, revision, err := j.load(ctx, id)
		switch {
		case err != nil && !errors.Is(err, bridge.ErrNotFound):
			return err
		case err == nil && r.Job.State.Ended(), err != nil && revision > 0: // or it cannot be read
			r.revision = revision
			ended = append(ended, r)
		}
	}
	slices.SortFunc(ended, func(a, b record) int { return a.Job.EndedAt.Compare(b.Job.EndedAt) })
	for n := range len(ids) - maxKept + 1 {
		if n == len(ended) {
			return fmt.Errorf("%d jobs have not ended: %w", len(ids), adminapi.ErrBusy)
		}
		if err := j.bucket.Remove(ctx, ended[n].revision); err != nil {
			return err
		}
	}
	return nil
}

// List returns the kept jobs, the newest first.
func (j *Jobs) List(ctx context.Context) ([]adminapi.Job, error) {
	ids, err := j.ids(ctx)
	if err != nil {
		return nil, err
	}
	list := make([]adminapi.Job, 0, len(ids))
	for _, id := range ids {
		job, err := j.Get(ctx, id)
		if errors.Is(err, bridge.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, job)
	}
	slices.SortFunc(list, func(a, b adminapi.Job) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	return list, nil
}

// Get returns a job. The error wraps [bridge.ErrNotFound] when there is none of that id.
func (j *Jobs) Get(ctx context.Context, id string) (adminapi.Job, error) {
	r, _, err := j.load(ctx, id)
	return r.view(), err
}

// Cancel ends a job after the step that it is at. Cancelled again, or when it has ended, the job
// stays as it is. The error is that of [Jobs.Get].
func (j *Jobs) Cancel(ctx context.Context, id string) (adminapi.Job, error) {
	for {
		r, revision, err := j.load(ctx, id)
		if err != nil || r.Cancel || r.Job.State.Ended() {
			return r.view(), err
		}
		r.Cancel = true
		_, err = j.bucket.Put(ctx, r.key(), r, revision, 0)
		if errors.Is(err, bucket.ErrChanged) {
			continue // a step was faster
		}
		if err == nil {
			j.look()
			j.mu.Lock()
			defer j.mu.Unlock()
			if h := j.running[id]; h != nil {
				h.cancel(errCancelled)
			}
		}
		return r.view(), err
	}
}
