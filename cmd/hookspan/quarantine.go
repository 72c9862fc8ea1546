package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/admin"
)

type quarantineCmd struct {
	List     quarantineListCmd     `cmd:"" help:"List deliveries that did not become an event: those in quarantine and those that were refused."`
	Show     quarantineShowCmd     `cmd:"" help:"Show one of them, with its headers and body."`
	Reverify quarantineReverifyCmd `cmd:"" help:"Verify and read them again, with the secrets of now: what is an event is stored as one, and leaves the list."`
	Accept   quarantineAcceptCmd   `cmd:"" help:"Make events of authentic ones that cannot be read strictly, or were too old, after you have looked at them."`
	Drop     quarantineDropCmd     `cmd:"" help:"Remove them for good."`
}

// selectFlags say which entries are meant.
type selectFlags struct {
	Stream string   `enum:"quarantine,refused," default:"" placeholder:"NAME" help:"Only this one: quarantine or refused."`
	Source string   `placeholder:"NAME" help:"Only this source."`
	Cause  string   `placeholder:"WORD" help:"Only this cause."`
	Seq    []uint64 `placeholder:"N" help:"Only these entries of --stream."`
}

// Validate is called by kong.
func (f selectFlags) Validate() error {
	if len(f.Seq) > 0 && f.Stream == "" {
		return errors.New("--seq counts within one stream: name it with --stream")
	}
	return nil
}

func (f selectFlags) call() admin.WithheldCall {
	return admin.WithheldCall{Stream: f.Stream, Source: f.Source, Cause: f.Cause, Page: admin.Page{Seqs: f.Seq}}
}

type quarantineListCmd struct {
	apiFlag
	Stream string `enum:"quarantine,refused," default:"" placeholder:"NAME" help:"Only this one: quarantine or refused."`
	Source string `placeholder:"NAME" help:"Only this source."`
	Cause  string `placeholder:"WORD" help:"Only this cause."`
	Limit  int    `default:"100" help:"At most so many, 1 to 1000."`
	After  uint64 `placeholder:"N" help:"Only entries of --stream behind this one."`
}

// Run lists the oldest first.
func (c *quarantineListCmd) Run(e *env) error {
	var list admin.WithheldList
	err := c.get(e.ctx, apiRoute("quarantine"), map[string]string{
		"stream": c.Stream, "source": c.Source, "cause": c.Cause, "limit": strconv.Itoa(c.Limit), "after": optional(c.After),
	}, &list)
	if err != nil {
		return err
	}
	if e.json {
		return json.NewEncoder(e.stdout).Encode(list)
	}
	out := &printer{w: e.stdout}
	for _, w := range list.Entries {
		out.printf("%-10s %6d  %s  %-12s %-18s %8v  %s\n", w.Stream, w.Seq, w.ReceivedAt.Format(time.RFC3339), w.Source, w.Cause, byteSize(w.BodyBytes), w.Detail)
	}
	switch {
	case len(list.Entries) == 0:
		out.printf("nothing is there\n")
	case list.More:
		out.printf("and more: --stream and --after show what follows, --limit shows more at once\n")
	}
	return out.err
}

type quarantineShowCmd struct {
	apiFlag
	Stream string `arg:"" enum:"quarantine,refused" help:"quarantine or refused"`
	Seq    uint64 `arg:"" help:"The entry's number."`
}

func (c *quarantineShowCmd) Run(e *env) error {
	var w admin.WithheldDetail
	if err := c.call(e.ctx, http.MethodGet, apiRoute("quarantine", c.Stream, strconv.FormatUint(c.Seq, 10)), nil, &w); err != nil {
		return err
	}
	if e.json {
		return json.NewEncoder(e.stdout).Encode(w)
	}
	out := &printer{w: e.stdout}
	out.printf("%s %d of source %s\ncause     %s: %s\nreceived  %s from %s, request %s\n",
		w.Stream, w.Seq, w.Source, w.Cause, w.Detail, w.ReceivedAt.Format(time.RFC3339Nano), w.Remote, w.RequestID)
	for _, headers := range []bridge.Header{w.Proof, w.Header} {
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			for _, value := range headers[name] {
				// Quoted, since whoever sent it must not write to this terminal.
				out.printf("  %s: %q\n", name, value)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Query)) {
		out.printf("  ?%s=%q\n", name, w.Query[name])
	}
	body := w.Bytes()
	out.printf("body      %d bytes, %d of them kept\n%q\n", w.BodyBytes, len(body), body)
	return out.err
}

type quarantineReverifyCmd struct {
	apiFlag
	selectFlags
	DryRun          bool `help:"Change nothing, say what would happen."`
	AcceptStale     bool `help:"Take also what was too old when it came, if its signature is right."`
	AcceptPathToken bool `help:"Take also what came to a URL without the right path token, if its signature is right."`
}

func (c *quarantineReverifyCmd) Run(e *env) error {
	call := c.selectFlags.call()
	call.DryRun, call.AcceptStale, call.AcceptPathToken = c.DryRun, c.AcceptStale, c.AcceptPathToken
	report, err := c.all(e, "reverify", call)
	if err != nil {
		return err
	}
	return printReport(e, report, func(out *printer) {
		if report.DryRun {
			out.printf("%d looked at: %d would become events or are events already\n", report.LookedAt, report.Events)
		} else {
			out.printf("%d looked at: %d became events, %d were events already\n", report.LookedAt, report.Events, report.Duplicates)
		}
		for _, cause := range sortedKeys(report.Remaining) {
			out.printf("  %d stay: %s\n", report.Remaining[cause], cause)
		}
	})
}

type quarantineDropCmd struct {
	apiFlag
	selectFlags
	DryRun bool `help:"Change nothing, say what would happen."`
}

// Validate is called by kong. What is dropped is gone, so it is named.
func (c quarantineDropCmd) Validate() error {
	if c.Stream == "" {
		return errors.New("--stream: say quarantine or refused")
	}
	return nil
}

func (c *quarantineDropCmd) Run(e *env) error {
	call := c.selectFlags.call()
	call.DryRun = c.DryRun
	report, err := c.all(e, "drop", call)
	if err != nil {
		return err
	}
	return printReport(e, report, func(out *printer) {
		if report.DryRun {
			out.printf("%d would be dropped\n", report.Removed)
		} else {
			out.printf("%d dropped\n", report.Removed)
		}
	})
}

// reverifyPage is how many entries one call looks at.
const reverifyPage = 500

// all makes the call for one stretch of entries after the other, and adds up
// what came of them.
func (f apiFlag) all(e *env, verb string, call admin.WithheldCall) (bridge.WithheldReport, error) {
	sum := bridge.WithheldReport{DryRun: call.DryRun, Remaining: map[string]int{}}
	places := bridge.Places()
	if call.Stream != "" {
		places = []string{call.Stream}
	}
	call.Limit = reverifyPage
	for _, call.Stream = range places {
		call.After = 0
		for more := true; more; {
			var report bridge.WithheldReport
			if err := f.call(e.ctx, http.MethodPost, apiRoute("quarantine", verb), call, &report); err != nil {
				return sum, fmt.Errorf("%w (%d entries were done before)", err, sum.LookedAt)
			}
			sum.LookedAt += report.LookedAt
			sum.Events += report.Events
			sum.Duplicates += report.Duplicates
			sum.Removed += report.Removed
			for cause, n := range report.Remaining {
				sum.Remaining[cause] += n
			}
			if sum.Stopped = report.Stopped; sum.Stopped != "" {
				return sum, nil
			}
			more, call.After = report.More, report.Last
			sum.Last = report.Last
		}
	}
	return sum, nil
}

// printReport prints, and fails when not everything was done.
func printReport(e *env, report bridge.WithheldReport, people func(*printer)) error {
	if e.json {
		if err := json.NewEncoder(e.stdout).Encode(report); err != nil {
			return err
		}
	} else {
		out := &printer{w: e.stdout}
		people(out)
		if out.err != nil {
			return out.err
		}
	}
	if report.Stopped != "" {
		return errors.New(bridge.Sentences("it ended early: "+report.Stopped, "What was counted is done, so run it again"))
	}
	return nil
}
