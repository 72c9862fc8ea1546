package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

// fewEntries is how many named entries one call does; more are a job.
const fewEntries = 100

// report is a pointer to the result of a change.
type report[R any] interface {
	*R
	Progress() adminapi.Progress
}

// change is what a verb does with each of its entries: redrive, replay, verify again, drop. R is
// its report. A few named entries are one call, everything else is a job.
type change[R any, P report[R]] struct {
	path string         // of the call
	call any            // a pointer to the body of the call
	page *adminapi.Page // of call
	// dryRun and rate are of call; nil is none.
	dryRun *bool
	rate   *float64
	kind   string // of the job
	done   string // the outcome of what the job does
	// all is for a job that selects everything.
	all   bool
	named naming
	// of makes a report of the outcomes of a job.
	of func(outcomes map[string]int, dryRun bool, stopped string) R
	// prompt is the question before the change, "" when there is nothing to do.
	prompt func(R) string
	print  func(*printer, R)
}

// run makes the change and prints its report. It asks before, unless confirm is nil. It fails
// when not everything was done, or when nothing has a name that was given.
func (c *change[R, P]) run(e *env, f *apiFlag, confirm *yesFlag) error {
	total := -1 // unknown
	do := func() (R, error) { return c.do(e, f, total) }
	if *c.dryRun {
		do = func() (would R, err error) { would, _, err = c.would(e, f); return would, err }
	} else if confirm != nil {
		err := confirm.confirm(e, func() (string, error) {
			var would R
			var err error
			would, total, err = c.would(e, f)
			return c.prompt(would), err
		})
		if err != nil {
			return err
		}
	}
	done, err := do()
	if p := P(&done).Progress(); err == nil && p.LookedAt == 0 {
		err = f.nothing(e, c.named, p.Stopped)
	}
	if err != nil {
		return err
	}
	return printReport[R, P](e, done, c.print)
}

// direct reports whether one call does it.
func (c *change[R, P]) direct() bool {
	n := len(c.page.Seqs)
	c.page.Limit = n
	return n > 0 && n <= fewEntries && (c.rate == nil || *c.rate == 0)
}

// would says what the change would do, and how many entries it would look at.
func (c *change[R, P]) would(e *env, f *apiFlag) (would R, total int, err error) {
	if c.direct() {
		was := *c.dryRun
		*c.dryRun = true
		err = f.call(e, http.MethodPost, c.path, c.call, &would)
		*c.dryRun = was
		return would, P(&would).Progress().LookedAt, err
	}
	var plan adminapi.JobPlan
	if err := c.job(e, f, jobFields{DryRun: true}, &plan); err != nil {
		return would, 0, err
	}
	if plan.More {
		return would, 0, fmt.Errorf("more than %d match, and counting them takes too long: choose fewer", plan.Total)
	}
	outcomes := plan.LeftOut
	if plan.Count > 0 {
		outcomes[c.done] += plan.Count
	}
	return c.of(outcomes, true, ""), plan.Total, nil
}

// do makes the change of so many entries; -1 is unknown.
func (c *change[R, P]) do(e *env, f *apiFlag, total int) (done R, err error) {
	if c.direct() {
		return done, f.call(e, http.MethodPost, c.path, c.call, &done)
	}
	var with jobFields
	if c.done == adminapi.OutcomeDropped {
		if total < 0 {
			if _, total, err = c.would(e, f); err != nil {
				return done, err
			}
		}
		with.Expect = &total
	}
	var job adminapi.Job
	if err := c.job(e, f, with, &job); err != nil {
		return done, err
	}
	if job, err = f.follow(e, job.ID); err != nil {
		return done, err
	}
	stopped := job.Error
	if job.State == adminapi.JobCancelled {
		stopped = fmt.Sprintf("job %s was cancelled with %d left", job.ID, job.Left)
	}
	delete(job.Outcomes, adminapi.OutcomeGone) // whoever removed them knows of it
	return c.of(job.Outcomes, false, stopped), nil
}

// jobFields is what the call of a job has beside the call that does the same.
type jobFields struct {
	Kind   string `json:"kind"`
	All    bool   `json:"all,omitempty"`
	Expect *int   `json:"expect,omitempty"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// job asks for a job, or for its dry run. An unknown name in the selection is said as for a
// list.
func (c *change[R, P]) job(e *env, f *apiFlag, fields jobFields, out any) error {
	fields.Kind, fields.All = c.kind, c.all
	body := map[string]json.RawMessage{}
	for _, part := range []any{c.call, fields} {
		text, err := json.Marshal(part)
		if err == nil {
			err = json.Unmarshal(text, &body)
		}
		if err != nil {
			return err
		}
	}
	delete(body, "limit")
	err := f.call(e, http.MethodPost, apiRoute("jobs"), body, out)
	if err != nil {
		if known, unknown := errors.AsType[*unknownName](f.known(e, c.named)); unknown {
			return known
		}
	}
	return err
}

// printReport prints the report, and fails when not everything was done.
func printReport[R any, P report[R]](e *env, done R, people func(*printer, R)) error {
	err := e.print(done, func(out *printer) { people(out, done) })
	if stopped := P(&done).Progress().Stopped; err == nil && stopped != "" {
		return errors.New(printable.Sentences("it ended early: "+stopped, "What was counted is done, so run it again"))
	}
	return err
}

func printRemaining(out *printer, remaining map[string]int) {
	for _, cause := range slices.Sorted(maps.Keys(remaining)) {
		out.printf("  %d stay: %s\n", remaining[cause], cause)
	}
}

// promptFor is a question about n things, "" for none.
func promptFor(n int, format string, args ...any) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(format, append([]any{n}, args...)...)
}

type redeliverFlags struct {
	Rate    float64 `placeholder:"N" help:"At most so many events a second, 0.1 or more."`
	Handled bool    `help:"Also those that the consumer is known to have handled."`
	DryRun  bool    `help:"Change nothing, say what would happen."`
}

func (f redeliverFlags) call() adminapi.RedeliveryOptions {
	return adminapi.RedeliveryOptions{Rate: f.Rate, Handled: f.Handled, DryRun: f.DryRun}
}

type redelivery = change[adminapi.RedeliveryReport, *adminapi.RedeliveryReport]

func printRedelivery(out *printer, done adminapi.RedeliveryReport) {
	out.printf("%d looked at: %d %sgiven again, %d were handled since\n", done.LookedAt, done.Given, wouldBe(done.DryRun), done.Skipped)
	printRemaining(out, done.Remaining)
}

func printDropped(out *printer, done adminapi.RedeliveryReport) {
	out.printf("%d looked at, %d %sdropped\n", done.LookedAt, done.Dropped, wouldBe(done.DryRun))
}

func wouldBe(dryRun bool) string {
	if dryRun {
		return "would be "
	}
	return ""
}
