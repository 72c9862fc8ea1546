package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/admin"
)

// redeliverPage is how many entries one call looks at.
const redeliverPage = 500

// redeliver makes the call for one stretch of entries after the other, prints what
// came of all of them, and fails when not everything was done.
func (f apiFlag) redeliver(e *env, path string, page *admin.Page, call any) error {
	sum := bridge.RedeliveryReport{Remaining: map[string]int{}}
	for more := true; more && sum.Stopped == ""; {
		var report bridge.RedeliveryReport
		if err := f.call(e.ctx, http.MethodPost, path, call, &report); err != nil {
			return fmt.Errorf("%w (%d were looked at before)", err, sum.LookedAt)
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
	if e.json {
		if err := json.NewEncoder(e.stdout).Encode(sum); err != nil {
			return err
		}
	} else if err := printRedelivery(e, sum); err != nil {
		return err
	}
	if sum.Stopped != "" {
		return errors.New(bridge.Sentences("it ended early: "+sum.Stopped, "What was counted is done, so run it again"))
	}
	return nil
}

func printRedelivery(e *env, sum bridge.RedeliveryReport) error {
	out := &printer{w: e.stdout}
	word := map[bool]string{false: "", true: "would be "}[sum.DryRun]
	out.printf("%d looked at", sum.LookedAt)
	if sum.Dropped > 0 {
		out.printf(", %d %sdropped\n", sum.Dropped, word)
		return out.err
	}
	out.printf(": %d %sgiven again, %d were handled since\n", sum.Given, word, sum.Skipped)
	for _, cause := range sortedKeys(sum.Remaining) {
		out.printf("  %d stay: %s\n", sum.Remaining[cause], cause)
	}
	return out.err
}

// printMessage prints the headers and the body of a message. They are quoted, since
// whoever sent it must not write to this terminal.
func printMessage(out *printer, header bridge.Header, body []byte) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			out.printf("  %s: %q\n", name, value)
		}
	}
	out.printf("body      %d bytes\n%q\n", len(body), body)
}
