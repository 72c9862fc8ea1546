package adminapi

import (
	"encoding/json"
	"errors"
	"time"
)

// Kinds of jobs. The call of a job is that of the route with the same work.
const (
	JobRedrive  = "redrive"         // as POST /dead/redrive
	JobDropDead = "drop_dead"       // as POST /dead/drop
	JobReplay   = "replay"          // as POST /events/replay
	JobReverify = "reverify"        // as POST /quarantine/reverify
	JobDropKept = "drop_quarantine" // as POST /quarantine/drop
	JobErase    = "erase"           // [EraseTenant]
)

// JobState is how far a job is.
type JobState string

// States of jobs. A job is queued until a process takes it, counts what matches, and runs.
const (
	JobQueued    JobState = "queued"
	JobCounting  JobState = "counting"
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobCancelled JobState = "cancelled"
	JobFailed    JobState = "failed" // Error says why; what is counted is done
)

// Ended reports whether a job in this state does nothing any more.
func (s JobState) Ended() bool { return s == JobDone || s == JobCancelled || s == JobFailed }

// JobCall is the part of a job's call that all kinds share. The rest is the selection and the
// options of the kind, in the same object.
type JobCall struct {
	Kind string `json:"kind"`
	// Expect is how many entries must match when the job begins, otherwise it changes nothing.
	// What drops entries needs it.
	Expect *int `json:"expect,omitempty"`
}

// JobOrder is a checked call. Body has all of it as JSON, for the kind.
type JobOrder struct {
	JobCall
	Body   json.RawMessage
	DryRun bool
	// By is who asks: the name of a token, or [Loopback].
	By string
	// Rate bounds the entries a second.
	Rate float64
	// Key is the caller's idempotency key: two orders with one key are one job. Empty: none.
	Key string
}

// Bounds and default of a job's rate, in entries a second.
const (
	MinJobRate     = 0.1
	MaxJobRate     = 10_000
	DefaultJobRate = 1000
)

// Outcomes of entries of jobs. All others are causes for which an entry stays.
const (
	OutcomeGiven      = "given"      // the event comes again for its consumer
	OutcomeHandled    = "handled"    // the consumer has handled the event since
	OutcomeEvents     = "events"     // the delivery became an event
	OutcomeDuplicates = "duplicates" // the delivery was an event already
	OutcomeDropped    = "dropped"    // the entry was removed for good
	OutcomeErased     = "erased"     // the prediction was erased everywhere
	OutcomeGone       = "gone"       // somebody else removed the entry meanwhile
)

// JobPlan is what a job would do. Total is Count and the sum of LeftOut.
type JobPlan struct {
	Kind string `json:"kind"`
	// DryRun is true: nothing was changed.
	DryRun bool `json:"dry_run"`
	// Total is how many entries match.
	Total int `json:"total"`
	// Count is how many of them would be given again, made events of, dropped, or erased.
	Count int `json:"count"`
	// LeftOut is how many would not be, by outcome, such as handled or no_event.
	LeftOut map[string]int `json:"left_out"`
	// Oldest is when the oldest entry that matches was stored.
	Oldest time.Time `json:"oldest,omitzero"`
	// Rate is in entries a second; TakesSeconds is for all of them at that rate.
	Rate         float64 `json:"rate"`
	TakesSeconds float64 `json:"takes_seconds"`
	// More: counting took too long, and there may be more.
	More bool `json:"more,omitempty"`
	// Outputs says where the outputs are of the predictions whose events would be given again, nil
	// of other work and when it is not known.
	Outputs *OutputsPlan `json:"outputs,omitempty"`
}

// OutputsPlan says where the outputs of predictions are, as far as the view knows. Archived, Gone
// and NotArchived count outputs.
type OutputsPlan struct {
	// Predictions is how many were looked at, and Unknown how many of them the view does not know,
	// or no longer.
	Predictions int `json:"predictions"`
	Unknown     int `json:"unknown"`
	// Archived: an archive has them. Gone: the provider has deleted them, and no archive has
	// them. NotArchived are the others.
	Archived    int `json:"archived"`
	Gone        int `json:"gone"`
	NotArchived int `json:"not_archived"`
	// More: there are more predictions than are looked at.
	More bool `json:"more,omitempty"`
}

// Job is work on all that match a selection. The sum of Outcomes and Left is Total as soon as
// the entries are counted.
type Job struct {
	ID    string   `json:"id"`
	Kind  string   `json:"kind"`
	State JobState `json:"state"`
	// Call is what was asked for.
	Call json.RawMessage `json:"call"`
	// By is who asked: the name of a token, or [Loopback].
	By string `json:"by,omitempty"`
	// Rate bounds the entries a second.
	Rate float64 `json:"rate"`
	// Total is how many entries matched when the job began; 0 before they are counted.
	Total int `json:"total"`
	// Outcomes counts the entries by what became of them, such as given, handled, no_event,
	// events, duplicates, dropped, erased; gone are those that somebody else removed meanwhile.
	Outcomes map[string]int `json:"outcomes"`
	// Left is how many are still to do, or were not done.
	Left int `json:"left"`
	// PerSecond is the present speed, and ETA when the job ends at that speed.
	PerSecond float64   `json:"per_second"`
	ETA       time.Time `json:"eta,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	StartedAt time.Time `json:"started_at,omitzero"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Cancelling: somebody has asked for the end of the job.
	Cancelling bool `json:"cancelling,omitempty"`
	// Process is the one that works on it, or did last.
	Process string `json:"process,omitempty"`
	// Waiting is why the job does not go on at present. It goes on by itself.
	Waiting string `json:"waiting,omitempty"`
	// Error is why the job has failed.
	Error string `json:"error,omitempty"`
	// Errors are the last ones, at most ten.
	Errors []JobError `json:"errors,omitempty"`
}

// JobError is an error that a job has met.
type JobError struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

// JobList is a page of jobs, the newest first. Next is the cursor of the next page, empty at the
// end.
type JobList struct {
	Jobs []Job  `json:"jobs"`
	Next string `json:"next"`
}

var (
	// ErrOtherJob means that the idempotency key belongs to a job with another call.
	ErrOtherJob = errors.New("the key belongs to another job")
	// ErrJobKind means that the process cannot do jobs of this kind.
	ErrJobKind = errors.New("this process does no jobs of this kind")
)
