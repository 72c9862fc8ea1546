package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

type quarantineCmd struct {
	List     quarantineListCmd     `cmd:"" help:"List deliveries that did not become an event, the newest first: those in quarantine and those that were refused."`
	Show     quarantineShowCmd     `cmd:"" help:"Show one of them, with its headers and body."`
	Reverify quarantineReverifyCmd `cmd:"" help:"Verify and read them again, with the secrets of now: what is an event is stored as one, and leaves the list."`
	Accept   quarantineAcceptCmd   `cmd:"" help:"Make events of authentic ones that cannot be read strictly, or were too old, after you have looked at them."`
	Drop     quarantineDropCmd     `cmd:"" help:"Remove them for good. It asks before."`
}

// selectFlags say which entries are meant.
type selectFlags struct {
	Stream string   `enum:"quarantine,refused," default:"" placeholder:"NAME" help:"Only this one: quarantine or refused."`
	Source name     `placeholder:"NAME" help:"Only this source."`
	Cause  name     `placeholder:"WORD" help:"Only this cause."`
	Seq    []uint64 `placeholder:"N" help:"Only these entries of --stream."`
}

// Validate is called by kong.
func (f selectFlags) Validate() error {
	if len(f.Seq) > 0 && f.Stream == "" {
		return errors.New("--seq counts within one stream: name it with --stream")
	}
	return nil
}

func (f selectFlags) call() adminapi.KeptCall {
	return adminapi.KeptCall{Stream: f.Stream, Source: string(f.Source), Cause: string(f.Cause), Page: adminapi.Page{Seqs: f.Seq}}
}

func (f selectFlags) naming() naming {
	return naming{sources: oneName(f.Source), cause: f.Cause, causes: app.KeptCauses()}
}

// String says which they are.
func (f selectFlags) String() string {
	text := "deliveries of " + f.Stream
	if f.Source != "" {
		text += fmt.Sprintf(" of source %s", f.Source)
	}
	if f.Cause != "" {
		text += fmt.Sprintf(" with cause %s", f.Cause)
	}
	return text
}

type quarantineListCmd struct {
	apiFlag
	Stream string `enum:"quarantine,refused," default:"" placeholder:"NAME" help:"Only this one: quarantine or refused."`
	Source name   `placeholder:"NAME" help:"Only this source."`
	Cause  name   `placeholder:"WORD" help:"Only this cause."`
	pageFlags
}

// Validate is called by kong.
func (c quarantineListCmd) Validate() error {
	if (c.Before > 0 || c.After != nil) && c.Stream == "" {
		return errors.New("--before and --after count within one stream: name it with --stream")
	}
	return nil
}

// Run lists the newest first.
func (c *quarantineListCmd) Run(e *env) error {
	var list adminapi.KeptList
	err := c.get(e, apiRoute("quarantine"), c.query(map[string]string{
		"stream": c.Stream, "source": string(c.Source), "cause": string(c.Cause),
	}), &list)
	if err == nil && len(list.Entries) == 0 {
		err = c.known(e, naming{sources: oneName(c.Source), cause: c.Cause, causes: app.KeptCauses()})
	}
	if err != nil {
		return err
	}
	if e.json {
		return writeJSON(e.stdout, list)
	}
	t, last := newTable("STREAM", "SEQ", "RECEIVED", "SOURCE", "CAUSE", "SIZE", "DETAIL"), uint64(0)
	for _, w := range list.Entries {
		t.row(w.Stream, w.Seq, w.ReceivedAt.Format(time.RFC3339), w.Source, w.Cause, config.ByteSize(w.BodyBytes), w.Detail)
		if c.Stream != "" {
			last = w.Seq
		}
	}
	return c.print(e, t, len(list.Entries), list.More, last)
}

type quarantineShowCmd struct {
	apiFlag
	bodyFlag
	Stream string `arg:"" enum:"quarantine,refused" help:"quarantine or refused"`
	Seq    uint64 `arg:"" help:"The entry's number."`
}

// Run shows it.
func (c *quarantineShowCmd) Run(e *env) error {
	var w adminapi.KeptDetail
	if err := c.get(e, apiRoute("quarantine", c.Stream, strconv.FormatUint(c.Seq, 10)), nil, &w); err != nil {
		return err
	}
	return c.show(e, w, w.Bytes(), func(out *printer) {
		out.printf("%s %d of source %s\ncause     %s: %s\nreceived  %s from %s, request %s\n",
			w.Stream, w.Seq, w.Source, w.Cause, w.Detail, w.ReceivedAt.Format(time.RFC3339Nano), w.Remote, w.RequestID)
		printHeader(out, w.Proof)
		printHeader(out, w.Header)
		for _, name := range slices.Sorted(maps.Keys(w.Query)) {
			out.printf("  ?%s=%q\n", name, w.Query[name])
		}
		if w.Truncated {
			out.printf("only the beginning of the %d bytes that came was kept\n", w.BodyBytes)
		}
	})
}

type quarantineReverifyCmd struct {
	apiFlag
	selectFlags
	DryRun          bool `help:"Change nothing, say what would happen."`
	AcceptStale     bool `help:"Take also what was too old when it came, if its signature is right."`
	AcceptPathToken bool `help:"Take also what came to a URL without the right path token, if its signature is right."`
}

// Run verifies them again.
func (c *quarantineReverifyCmd) Run(e *env) error {
	call := c.selectFlags.call()
	call.DryRun, call.AcceptStale, call.AcceptPathToken = c.DryRun, c.AcceptStale, c.AcceptPathToken
	report, err := c.all(e, "reverify", call)
	if err == nil && report.LookedAt == 0 {
		err = c.nothing(e, c.naming(), report.Stopped)
	}
	if err != nil {
		return err
	}
	return printReport(e, report, func(out *printer) { printEvents(out, report) })
}

// printEvents says how many deliveries became events, and why others did not.
func printEvents(out *printer, report adminapi.KeptReport) {
	if report.DryRun {
		out.printf("%d looked at: %d would become events or are events already\n", report.LookedAt, report.Events)
	} else {
		out.printf("%d looked at: %d became events, %d were events already\n", report.LookedAt, report.Events, report.Duplicates)
	}
	for _, cause := range slices.Sorted(maps.Keys(report.Remaining)) {
		out.printf("  %d stay: %s\n", report.Remaining[cause], cause)
	}
}

type quarantineDropCmd struct {
	apiFlag
	selectFlags
	yesFlag
	DryRun bool `help:"Change nothing, say what would happen."`
}

// Validate is called by kong. What is dropped is gone, so it is named.
func (c quarantineDropCmd) Validate() error {
	if c.Stream == "" {
		return errors.New("--stream: say quarantine or refused")
	}
	return nil
}

// Run drops; it asks.
func (c *quarantineDropCmd) Run(e *env) error {
	call := c.selectFlags.call()
	call.DryRun = c.DryRun
	if !c.DryRun {
		err := c.confirm(e, func() (string, error) {
			dry := call
			dry.DryRun = true
			report, err := c.all(e, "drop", dry)
			return asked(report.Removed, "Remove %d %s for good?", c.selectFlags), err
		})
		if err != nil {
			return err
		}
	}
	report, err := c.all(e, "drop", call)
	if err == nil && report.LookedAt == 0 {
		err = c.nothing(e, c.naming(), report.Stopped)
	}
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
func (f *apiFlag) all(e *env, verb string, call adminapi.KeptCall) (adminapi.KeptReport, error) {
	sum := adminapi.KeptReport{DryRun: call.DryRun, Remaining: map[string]int{}}
	places := adminapi.Places()
	if call.Stream != "" {
		places = []string{call.Stream}
	}
	call.Limit = reverifyPage
	for _, call.Stream = range places {
		call.After = 0
		for more := true; more; {
			var report adminapi.KeptReport
			if err := f.call(e, http.MethodPost, apiRoute("quarantine", verb), call, &report); err != nil {
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
func printReport(e *env, report adminapi.KeptReport, people func(*printer)) error {
	if e.json {
		if err := writeJSON(e.stdout, report); err != nil {
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
		return errors.New(printable.Sentences("it ended early: "+report.Stopped, "What was counted is done, so run it again"))
	}
	return nil
}
