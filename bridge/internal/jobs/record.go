package jobs

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/bucket"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// maxErrors and maxError bound the errors of a job, and one of them in bytes.
	maxErrors, maxError = 10, 512
	idLength            = 26
)

// record is a job in the bucket. Who works on it writes it after each step, and at least every
// few seconds: so others know that it is alive.
type record struct {
	Job    adminapi.Job    `json:"job"`
	Expect *int            `json:"expect,omitempty"`
	From   json.RawMessage `json:"from,omitempty"`
	Cancel bool            `json:"cancel,omitempty"`
	// Claim tells the call that began the job from others with its key.
	Claim string `json:"claim"`
	// Holder is the run that works on it, in the process of Place; empty is nobody. N counts
	// its writes.
	Holder string `json:"holder,omitempty"`
	Place  string `json:"place,omitempty"`
	N      uint64 `json:"n,omitempty"`

	revision uint64
}

func newRecord(o adminapi.JobOrder) record {
	id := strings.ToLower(rand.Text())
	if o.Key != "" {
		sum := sha256.Sum256([]byte(o.Key))
		id = hex.EncodeToString(sum[:])[:idLength]
	}
	return record{Claim: rand.Text(), Expect: o.Expect, Job: adminapi.Job{
		ID: id, Kind: o.Kind, State: adminapi.JobQueued, Call: o.Body, By: o.By, Rate: o.Rate,
		Outcomes: map[string]int{}, CreatedAt: time.Now().UTC(),
	}}
}

func (r *record) key() string { return bridge.KeyJob + "." + r.Job.ID }

func (r *record) clone() record {
	next := *r
	next.Job.Outcomes, next.Job.Errors = maps.Clone(r.Job.Outcomes), slices.Clone(r.Job.Errors)
	if next.Job.Outcomes == nil {
		next.Job.Outcomes = map[string]int{}
	}
	return next
}

func (r *record) done() (n int) {
	for _, count := range r.Job.Outcomes {
		n += count
	}
	return n
}

// add adds a step of a run that has done so many before it, since began.
func (r *record) add(s Step, before int, began time.Time) {
	r.From, r.Job.Waiting = s.From, ""
	for outcome, n := range s.Outcomes {
		r.Job.Outcomes[outcome] += n
	}
	// More match than at the beginning: the filter of the consumer was changed.
	r.Job.Total = max(r.Job.Total, r.done())
	if seconds := time.Since(began).Seconds(); seconds > 0 {
		r.Job.PerSecond = math.Round(10*float64(r.done()-before)/seconds) / 10
	}
	for _, text := range s.Errors {
		r.note(text)
	}
}

func (r *record) note(text string) {
	r.Job.Errors = append(r.Job.Errors, adminapi.JobError{At: time.Now().UTC(), Text: printable.Truncate(text, maxError)})
	r.Job.Errors = r.Job.Errors[max(0, len(r.Job.Errors)-maxErrors):]
}

// end ends the job. What was not found of a job that is done is gone.
func (r *record) end(state adminapi.JobState, err error) {
	r.Job.State, r.Job.EndedAt, r.Job.Waiting, r.Holder = state, time.Now().UTC(), "", ""
	if err != nil {
		r.Job.Error = printable.Truncate(err.Error(), maxError)
	}
	if gone := r.Job.Total - r.done(); state == adminapi.JobDone && gone > 0 {
		r.Job.Outcomes[adminapi.OutcomeGone] += gone
	}
}

// view is the job as the API shows it.
func (r *record) view() adminapi.Job {
	job := r.clone().Job
	job.Left = job.Total - r.done()
	job.Cancelling = r.Cancel && !job.State.Ended()
	if job.State == adminapi.JobRunning && job.PerSecond > 0 && job.Waiting == "" {
		job.ETA = time.Now().Add(time.Duration(float64(job.Left) / job.PerSecond * float64(time.Second))).UTC().Truncate(time.Second)
	}
	if job.State.Ended() {
		job.PerSecond = 0
		if took := job.EndedAt.Sub(job.StartedAt).Seconds(); !job.StartedAt.IsZero() && took > 0 {
			job.PerSecond = math.Round(10*float64(r.done())/took) / 10
		}
	}
	return job
}

// load returns the job of an id and its revision. The error wraps [bridge.ErrNotFound] when there
// is none.
func (j *Jobs) load(ctx context.Context, id string) (record, uint64, error) {
	if !validID(id) {
		return record{}, 0, fmt.Errorf("job %.40q: %w", id, bridge.ErrNotFound)
	}
	r, revision, err := bucket.Load[record](ctx, j.bucket, bridge.KeyJob+"."+id)
	if err == nil && (revision == 0 || r.Job.ID != id) || errors.Is(err, bucket.ErrUnreadable) {
		err = fmt.Errorf("job %s: %w", id, bridge.ErrNotFound)
	}
	return r, revision, err
}

// validID reports whether id can be one of [newRecord].
func validID(id string) bool {
	return len(id) == idLength && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// ids returns the ids of all kept jobs.
func (j *Jobs) ids(ctx context.Context) ([]string, error) {
	keys, err := j.bucket.Keys(ctx, bridge.KeyJob+".*")
	for i, key := range keys {
		keys[i] = strings.TrimPrefix(key, bridge.KeyJob+".")
	}
	return keys, err
}
