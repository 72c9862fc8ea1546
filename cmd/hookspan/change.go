package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

// entriesPerCall is how many entries one call works on.
const entriesPerCall = 500

// report is a pointer to the result of a call.
type report[R any] interface {
	*R
	Add(next R)
	Progress() adminapi.Progress
}

// change is what a verb does with each of its entries: redrive, replay, verify again, drop. R is
// its report.
type change[R any, P report[R]] struct {
	path   string
	call   any            // a pointer to the body of the calls
	page   *adminapi.Page // of call
	dryRun *bool          // of call
	// stream is that of call where entries are counted by stream; streams are the ones to visit.
	stream  *string
	streams []string
	named   naming
	// prompt is the question before the change, "" when there is nothing to do.
	prompt func(R) string
	print  func(*printer, R)
}

// run makes the change and prints its report. It asks before, unless confirm is nil. It fails
// when not everything was done, or when nothing has a name that was given.
func (c *change[R, P]) run(e *env, f *apiFlag, confirm *yesFlag) error {
	if confirm != nil && !*c.dryRun {
		err := confirm.confirm(e, func() (string, error) {
			*c.dryRun = true
			would, err := c.all(e, f)
			*c.dryRun = false
			return c.prompt(would), err
		})
		if err != nil {
			return err
		}
	}
	done, err := c.all(e, f)
	if p := P(&done).Progress(); err == nil && p.LookedAt == 0 {
		err = f.nothing(e, c.named, p.Stopped)
	}
	if err != nil {
		return err
	}
	return printReport[R, P](e, done, c.print)
}

// all calls for one stretch of entries after the other, and adds up the reports.
func (c *change[R, P]) all(e *env, f *apiFlag) (sum R, err error) {
	c.page.Limit = entriesPerCall
	for _, *c.stream = range c.streams {
		c.page.After = 0
		for more := true; more; {
			var next R
			if err := f.call(e, http.MethodPost, c.path, c.call, &next); err != nil {
				return sum, fmt.Errorf("%w (%d were looked at before)", err, P(&sum).Progress().LookedAt)
			}
			P(&sum).Add(next)
			p := P(&next).Progress()
			if p.Stopped != "" {
				return sum, nil
			}
			more, c.page.After = p.More, max(p.Last, c.page.After)
		}
	}
	return sum, nil
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
	word := map[bool]string{false: "", true: "would be "}[done.DryRun]
	out.printf("%d looked at", done.LookedAt)
	if done.Dropped > 0 {
		out.printf(", %d %sdropped\n", done.Dropped, word)
		return
	}
	out.printf(": %d %sgiven again, %d were handled since\n", done.Given, word, done.Skipped)
	printRemaining(out, done.Remaining)
}
