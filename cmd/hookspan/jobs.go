package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/backoff"
)

type jobsCmd struct {
	List   jobsListCmd   `cmd:"" help:"List them, the newest first."`
	Show   jobsShowCmd   `cmd:"" help:"Show one of them: how far it is, and what became of its entries."`
	Cancel jobsCancelCmd `cmd:"" help:"End one of them. What is done stays done, and the rest stays as it is."`
}

type jobsListCmd struct {
	apiFlag
	watchFlag
	Limit  int  `default:"100" help:"At most so many, 1 to 1000."`
	Cursor name `placeholder:"TEXT" help:"What follows a list that was too long, as that list says."`
}

func (c *jobsListCmd) Run(e *env) error {
	var list adminapi.JobList
	if err := c.get(e, apiRoute("jobs"), map[string]string{"limit": fmt.Sprint(c.Limit), "cursor": string(c.Cursor)}, &list); err != nil {
		return err
	}
	return e.print(list, func(out *printer) {
		t := newTable("ID", "KIND", "STATE", "DONE", "LEFT", "BEGUN", "BY")
		for _, j := range list.Jobs {
			t.row(j.ID, j.Kind, toned{toneOf(string(j.State)), string(j.State)}, j.Total-j.Left, j.Left, j.CreatedAt.Format(time.RFC3339), orDash(j.By))
		}
		t.print(out)
		switch {
		case list.Next != "":
			out.printf("and there are more: go on with --cursor %s, or raise --limit\n", list.Next)
		case len(list.Jobs) == 0:
			out.printf("there is none\n")
		}
	})
}

type jobsShowCmd struct {
	apiFlag
	watchFlag
	ID name `arg:"" help:"The job's id."`
}

func (c *jobsShowCmd) Run(e *env) error {
	var job adminapi.Job
	if err := c.get(e, apiRoute("jobs", string(c.ID)), nil, &job); err != nil {
		return err
	}
	return e.print(job, func(out *printer) { printJob(out, job) })
}

type jobsCancelCmd struct {
	apiFlag
	ID name `arg:"" help:"The job's id."`
}

func (c *jobsCancelCmd) Run(e *env) error {
	var job adminapi.Job
	if err := c.call(e, http.MethodPost, apiRoute("jobs", string(c.ID), "cancel"), struct{}{}, &job); err != nil {
		return err
	}
	return e.print(job, func(out *printer) {
		if job.Cancelling {
			out.printf("%s: it ends after the entries that it is at\n", job.ID)
			return
		}
		out.printf("%s: it is %s\n", job.ID, job.State)
	})
}

func printJob(out *printer, j adminapi.Job) {
	state := string(j.State)
	if j.Cancelling {
		state += ", being cancelled"
	}
	out.printf("job %s: %s, %s\ncall      %s\n", j.ID, j.Kind, state, j.Call)
	out.printf("begun     %s by %s\n", j.CreatedAt.Format(time.RFC3339), orDash(j.By))
	if !j.EndedAt.IsZero() {
		out.printf("ended     %s\n", j.EndedAt.Format(time.RFC3339))
	}
	out.printf("progress  %s\n", progressOf(j))
	for _, outcome := range slices.Sorted(maps.Keys(j.Outcomes)) {
		out.printf("  %d %s\n", j.Outcomes[outcome], outcome)
	}
	for _, text := range []struct{ what, text string }{{"process", j.Process}, {"waiting", j.Waiting}, {"error", j.Error}} {
		if text.text != "" {
			out.printf("%-9s %s\n", text.what, text.text)
		}
	}
	for _, err := range j.Errors {
		out.printf("  %s %s\n", err.At.Format(time.RFC3339), err.Text)
	}
}

// progressOf is one line about how far a job is.
func progressOf(j adminapi.Job) string {
	if j.State == adminapi.JobQueued || j.State == adminapi.JobCounting {
		return string(j.State)
	}
	text := fmt.Sprintf("%d of %d, %v a second", j.Total-j.Left, j.Total, j.PerSecond)
	if !j.ETA.IsZero() {
		text += fmt.Sprintf(", %v to go", max(0, time.Until(j.ETA).Round(time.Second)))
	}
	if j.Waiting != "" {
		text += ", waiting: " + j.Waiting
	}
	return text
}

const (
	// firstPoll and lastPoll space the looks at a job that a verb waits for.
	firstPoll, lastPoll = 50 * time.Millisecond, time.Second
	// jobPatience is for how long a verb waits for a bridge that does not answer: it may be
	// restarting, and the job goes on after that.
	jobPatience = time.Minute
	// progressWidth bounds the line of progress, so that it stays one line.
	progressWidth = 78
)

// follow waits for the end of a job, with a line of progress on a terminal.
func (f *apiFlag) follow(e *env, id string) (job adminapi.Job, err error) {
	poll := backoff.Backoff{First: firstPoll, Max: lastPoll}
	out, shown, answered := &printer{w: e.stderr}, false, time.Now()
	defer func() {
		if shown {
			out.raw("\r" + strings.Repeat(" ", progressWidth) + "\r")
		}
	}()
	for poll.Wait(e.ctx) {
		err := f.get(e, apiRoute("jobs", id), nil, &job)
		switch {
		case err == nil:
			answered = time.Now()
		case e.ctx.Err() == nil && time.Since(answered) > jobPatience:
			return job, fmt.Errorf("%w: job %s may go on, see hookspan jobs show %s", err, id, id)
		default:
			continue
		}
		if job.State.Ended() {
			return job, nil
		}
		if e.terminal {
			shown = true
			line := []rune(inLines(strings.ReplaceAll(progressOf(job), "\n", " ")))
			out.raw(fmt.Sprintf("\r%-*s", progressWidth, string(line[:min(len(line), progressWidth)])))
		}
	}
	return job, fmt.Errorf("interrupted: job %s goes on: hookspan jobs show %s says how far it is, hookspan jobs cancel %s ends it", id, id, id)
}
