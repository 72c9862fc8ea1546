package adminapi

import (
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// DeadGroup is the dead letters of a consumer with the same cause and the same normalised error.
type DeadGroup struct {
	// ID is a hash of the next three: the same in every process.
	ID       string           `json:"id"`
	Consumer string           `json:"consumer"`
	Cause    bridge.DeadCause `json:"cause"`
	// Error is what the errors have in common: each "#" is a number, an id, a quoted text or the
	// query of a URL.
	Error   string    `json:"error"`
	Count   int64     `json:"count"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	// Sample is the sequence of the last dead letter.
	Sample    uint64    `json:"sample"`
	Histogram Histogram `json:"histogram"`
}

// Histogram counts by time: twenty spans from Start on, each of StepSeconds, a power of two.
type Histogram struct {
	Start       time.Time `json:"start"`
	StepSeconds int64     `json:"step_seconds"`
	Counts      []int64   `json:"counts"`
}

// DeadGroupList is a page of groups, the one with the newest dead letter first.
type DeadGroupList struct {
	Groups []DeadGroup `json:"groups"`
	Listed
}

// MaxSince is the longest [ModelSelection.Since].
const MaxSince = 30 * 24 * time.Hour

// ModelSelection selects models with events.
type ModelSelection struct {
	// Since is how long ago the time begins, from a minute to [MaxSince].
	Since time.Duration
	// Source and Model select all when empty; Model is a glob as in [bridge.Filter].
	Source, Model string
	// Newest orders by the last event, otherwise the one is first of which most failed.
	Newest bool
	// Cursor is the Next of the page before; empty begins at the first one.
	Cursor string
	Limit  int
}

// Model is what happened to the predictions of a model of a source.
type Model struct {
	Source string `json:"source"`
	Model  string `json:"model"`
	// Count is how many ended, which is the sum of the next three.
	Count     int64 `json:"count"`
	Completed int64 `json:"completed"`
	Failed    int64 `json:"failed"`
	Canceled  int64 `json:"canceled"`
	// FailingShare is the share of Failed in Completed and Failed, 0 to 1. FailingChange is how
	// much it is above that of the time before, which is as long; it is missing when nothing
	// ended then.
	FailingShare  float64  `json:"failing_share"`
	FailingChange *float64 `json:"failing_change,omitempty"`
	// LastAt is the beginning of the step in which something last happened.
	LastAt time.Time `json:"last_at"`
	// Queue is from the creation until the model ran, Inference as long as it ran, Webhook from
	// the end until the webhook came.
	Queue     ModelLag `json:"queue"`
	Inference ModelLag `json:"inference"`
	Webhook   ModelLag `json:"webhook"`
	// Errors are the most frequent groups of errors of failed predictions, at most five.
	Errors []ModelError `json:"errors"`
}

// ModelLag is what is known of a time of some predictions. The quantiles are exact to 10 %, and
// zero when Count is.
type ModelLag struct {
	Count      int64   `json:"count"`
	P50Seconds float64 `json:"p50_seconds"`
	P95Seconds float64 `json:"p95_seconds"`
}

// ModelError is failed predictions with the same normalised error; "#" alone is the errors of no
// other group too.
type ModelError struct {
	Error string `json:"error"`
	Count int64  `json:"count"`
	// Prediction is the last one; empty when the view does not have it any more.
	Prediction string `json:"prediction,omitempty"`
}

// ModelList is a page of models.
type ModelList struct {
	// From and Until bound what is counted. From is a whole minute, hour or day of UTC: the
	// longer the time, the longer is StepSeconds.
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	StepSeconds int64     `json:"step_seconds"`
	Models      []Model   `json:"models"`
	Listed
}

// AlarmSelection selects a page of alarms. Empty fields select all.
type AlarmSelection struct {
	Kind, Subject string
	// Active selects the last alarm of each kind and subject that was raised within the last 15
	// minutes.
	Active bool
	// Cursor is the Next of the page before; empty begins with the newest.
	Cursor string
	Limit  int
}

// Alarm is an alarm with its place.
type Alarm struct {
	Seq uint64 `json:"seq"`
	bridge.Alarm
	// Active: it is the last one of its kind and subject, and not older than 15 minutes; what
	// lasts is raised again every ten. Since is when the first of those was raised that came
	// without such a pause.
	Active bool      `json:"active"`
	Since  time.Time `json:"since,omitzero"`
}

// AlarmList is a page of alarms, the newest first.
type AlarmList struct {
	Alarms []Alarm `json:"alarms"`
	Listed
}
