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

// redeliverPage is how many entries one call looks at.
const redeliverPage = 500

// sum makes the call for one stretch of entries after the other, and adds up what came
// of them. Page is that of the call.
func (f *apiFlag) sum(e *env, path string, page *adminapi.Page, call any) (adminapi.RedeliveryReport, error) {
	sum := adminapi.RedeliveryReport{Remaining: map[string]int{}}
	for more := true; more && sum.Stopped == ""; {
		var report adminapi.RedeliveryReport
		if err := f.call(e, http.MethodPost, path, call, &report); err != nil {
			return sum, fmt.Errorf("%w (%d were looked at before)", err, sum.LookedAt)
		}
		sum.DryRun = report.DryRun
		sum.LookedAt += report.LookedAt
		sum.Given += report.Given
		sum.Skipped += report.Skipped
		sum.Dropped += report.Dropped
		for cause, n := range report.Remaining {
			sum.Remaining[cause] += n
		}
		sum.Stopped, sum.Last = report.Stopped, report.Last
		more, page.After = report.More, max(report.Last, page.After)
	}
	return sum, nil
}

// redeliver makes the calls, prints what came of them, and fails when not everything was
// done, or when there was nothing of a name that nobody has.
func (f *apiFlag) redeliver(e *env, path string, page *adminapi.Page, call any, named naming) error {
	sum, err := f.sum(e, path, page, call)
	if err == nil && sum.LookedAt == 0 {
		err = f.nothing(e, named, sum.Stopped)
	}
	if err != nil {
		return err
	}
	if e.json {
		if err := writeJSON(e.stdout, sum); err != nil {
			return err
		}
	} else if err := printRedelivery(e, sum); err != nil {
		return err
	}
	if sum.Stopped != "" {
		return errors.New(printable.Sentences("it ended early: "+sum.Stopped, "What was counted is done, so run it again"))
	}
	return nil
}

func printRedelivery(e *env, sum adminapi.RedeliveryReport) error {
	out := &printer{w: e.stdout}
	word := map[bool]string{false: "", true: "would be "}[sum.DryRun]
	out.printf("%d looked at", sum.LookedAt)
	if sum.Dropped > 0 {
		out.printf(", %d %sdropped\n", sum.Dropped, word)
		return out.err
	}
	out.printf(": %d %sgiven again, %d were handled since\n", sum.Given, word, sum.Skipped)
	for _, cause := range slices.Sorted(maps.Keys(sum.Remaining)) {
		out.printf("  %d stay: %s\n", sum.Remaining[cause], cause)
	}
	return out.err
}
