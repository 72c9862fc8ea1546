package console

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
)

var jobPages = map[string]page{
	"/jobs":      {template: "jobs", title: "Jobs", live: true, load: loadJobs},
	"/jobs/{id}": {template: "job", title: "Job", rail: "jobs", live: true, load: loadJob},
}

var jobActs = map[string]act{"/jobs/{id}/cancel": cancelJob}

// jobPath is the page of a job that was begun from back, empty when that is not known.
func jobPath(id, back string) string {
	path := "/jobs/" + url.PathEscape(id)
	if back != "" {
		path += string(query("back", back))
	}
	return path
}

// jobView is a job for a page.
type jobView struct {
	adminapi.Job

	// Back is the page that the job was begun from; empty when that is not known.
	Back string
}

// kinds are what jobs do, and the path of the list that they work on.
var kinds = map[string]struct{ title, list string }{
	adminapi.JobRedrive:  {"Redrive", "/dead/letters"},
	adminapi.JobDropDead: {"Drop dead letters", "/dead/letters"},
	adminapi.JobReplay:   {"Replay events", ""},
	adminapi.JobReverify: {"Re-verify", "/quarantine"},
	adminapi.JobDropKept: {"Drop kept deliveries", "/quarantine"},
	adminapi.JobErase:    {"Erase a tenant", ""},
}

// Title names what the job does.
func (j jobView) Title() string {
	if k, ok := kinds[j.Kind]; ok {
		return k.title
	}
	return words(j.Kind)
}

// PageTitle names the page.
func (j jobView) PageTitle() string { return j.Title() + " · job" }

// jobCall is what a job was asked for, of any kind.
type jobCall struct {
	Consumer, Cause, Prediction, Group, Stream, Source string
	Seqs                                               []uint64
	All                                                bool
}

func (j jobView) call() (c jobCall) {
	_ = json.Unmarshal(j.Call, &c) // what it does not say is not shown
	return c
}

// What is what the job works on, in words.
func (j jobView) What() string {
	c := j.call()
	switch j.Kind {
	case adminapi.JobRedrive, adminapi.JobDropDead:
		if len(c.Seqs) > 0 {
			return selected(c.Seqs, "dead letter", "dead letters")
		}
		if c.All && c.Cause == "" && c.Prediction == "" {
			return "the dead letters of every consumer"
		}
		return deadFilter{c.Consumer, c.Cause, c.Prediction, c.Group}.words()
	case adminapi.JobReverify, adminapi.JobDropKept:
		if len(c.Seqs) > 0 {
			return selected(c.Seqs, "delivery", "deliveries")
		}
		return keptFilter{c.Stream, c.Source, c.Cause}.words()
	case adminapi.JobReplay:
		if len(c.Seqs) == 1 {
			return fmt.Sprintf("event %d for %s", c.Seqs[0], text(c.Consumer))
		}
		return "stored events for " + text(c.Consumer)
	}
	return ""
}

func selected(seqs []uint64, one, many string) string {
	if len(seqs) == 1 {
		return fmt.Sprintf("%s %d", one, seqs[0])
	}
	return count(len(seqs)) + " selected " + many
}

// List is the path of what the job works on, empty when no page lists it.
func (j jobView) List() template.URL {
	c := j.call()
	path := template.URL(kinds[j.Kind].list) //nolint:gosec // a path of our own
	switch {
	case path == "" || len(c.Seqs) > 0:
		return path
	case path == "/quarantine":
		return path + keptFilter{c.Stream, c.Source, c.Cause}.Query()
	}
	return path + deadFilter{c.Consumer, c.Cause, c.Prediction, c.Group}.Query()
}

// Done is how many entries the job is through with.
func (j jobView) Done() int { return j.Total - j.Left }

// Counted: it is known how many match.
func (j jobView) Counted() bool {
	return j.State != adminapi.JobQueued && j.State != adminapi.JobCounting
}

// Parts are the outcomes in words, without what is left.
func (j jobView) Parts() []outcome { return outcomesOf(j.Kind, j.Outcomes) }

// Bar draws the outcomes in the total.
func (j jobView) Bar() template.HTML {
	return stack(j.Parts(), j.Total, fmt.Sprintf("%s of %s done", count(j.Done()), count(j.Total)))
}

// Share is how much is done, 0 to 1.
func (j jobView) Share() float64 {
	if j.Total == 0 {
		return 0
	}
	return float64(j.Done()) / float64(j.Total)
}

// Speed is how many entries a second the job does now.
func (j jobView) Speed() string {
	if j.PerSecond < 10 {
		return strconv.FormatFloat(j.PerSecond, 'f', 1, 64)
	}
	return count(int64(j.PerSecond))
}

// Took is how long the job has worked, in words; empty before it began.
func (j jobView) Took() string {
	if j.StartedAt.IsZero() {
		return ""
	}
	end := j.EndedAt
	if end.IsZero() {
		end = time.Now()
	}
	return lasts(end.Sub(j.StartedAt).Seconds())
}

// ToGo is how long it still takes, in words; empty when that is not known.
func (j jobView) ToGo() string {
	if j.ETA.IsZero() || j.State.Ended() {
		return ""
	}
	return lasts(max(0, time.Until(j.ETA).Seconds()))
}

// Ended reports whether the job does nothing any more.
func (j jobView) Ended() bool { return j.State.Ended() }

type jobsData struct {
	Jobs  []jobView
	Pager pager
}

func loadJobs(v *visit) (any, error) {
	query, cursor := url.Values{"limit": {"50"}}, v.param("cursor")
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	list, err := ask[adminapi.JobList](v, "/jobs", query)
	d := jobsData{Pager: newPager("/jobs", url.Values{}, cursor, list.Next)}
	for _, j := range list.Jobs {
		d.Jobs = append(d.Jobs, jobView{Job: j})
	}
	return d, err
}

func loadJob(v *visit) (any, error) {
	j, err := ask[adminapi.Job](v, "/jobs/"+url.PathEscape(v.param("id")), nil)
	return jobView{j, v.back("")}, err
}

func cancelJob(v *visit) (done, error) {
	id := v.param("id")
	_, err := tell[adminapi.Job](v, "/jobs/"+url.PathEscape(id)+"/cancel", struct{}{})
	return done{to: jobPath(id, v.back(""))}, err
}
