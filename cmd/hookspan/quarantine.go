package main

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/user"
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

type selectFlags struct {
	Stream string   `enum:"quarantine,refused," default:"" placeholder:"NAME" help:"Only this one: quarantine or refused."`
	Source name     `placeholder:"NAME" help:"Only this source."`
	Cause  name     `placeholder:"WORD" help:"Only this cause."`
	Seq    []uint64 `placeholder:"N" help:"Only these entries of --stream."`
}

func (f selectFlags) Validate() error {
	if len(f.Seq) > 0 && f.Stream == "" {
		return errors.New("--seq counts within one stream: name it with --stream")
	}
	return nil
}

func (f selectFlags) call() adminapi.KeptCall {
	return adminapi.KeptCall{Stream: f.Stream, Source: string(f.Source), Cause: string(f.Cause), Page: adminapi.Page{Seqs: f.Seq}}
}

func (f selectFlags) change(verb, kind, done string, call *adminapi.KeptCall) *keptChange {
	return &keptChange{
		path: apiRoute("quarantine", verb), call: call, page: &call.Page, dryRun: &call.DryRun, kind: kind, done: done,
		named: naming{sources: oneName(f.Source), cause: f.Cause, causes: app.KeptCauses()}, of: adminapi.NewKeptReport, print: printEvents,
	}
}

type keptChange = change[adminapi.KeptReport, *adminapi.KeptReport]

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

func (c *quarantineListCmd) Run(e *env) error {
	var list adminapi.KeptList
	query := map[string]string{"stream": c.Stream, "source": string(c.Source), "cause": string(c.Cause)}
	named := naming{sources: oneName(c.Source), cause: c.Cause, causes: app.KeptCauses()}
	return c.list(e, &c.apiFlag, apiRoute("quarantine"), query, named, &list, func() (*table, adminapi.Listed) {
		t := newTable("STREAM", "SEQ", "RECEIVED", "SOURCE", "CAUSE", "SIZE", "DETAIL")
		for _, k := range list.Entries {
			t.row(k.Stream, k.Seq, k.ReceivedAt.Format(time.RFC3339), k.Source, k.Cause, config.ByteSize(k.BodyBytes), k.Detail)
		}
		return t, list.Listed
	})
}

type quarantineShowCmd struct {
	apiFlag
	bodyFlag
	Stream string `arg:"" enum:"quarantine,refused" help:"quarantine or refused"`
	Seq    uint64 `arg:"" help:"The entry's number."`
}

func (c *quarantineShowCmd) Run(e *env) error {
	return show(e, &c.apiFlag, c.bodyFlag, apiRoute("quarantine", c.Stream, strconv.FormatUint(c.Seq, 10)), func(out *printer, k adminapi.KeptDetail) {
		out.printf("%s %d of source %s\ncause     %s: %s\nreceived  %s from %s, request %s\n",
			k.Stream, k.Seq, k.Source, k.Cause, k.Detail, k.ReceivedAt.Format(time.RFC3339Nano), k.Remote, k.RequestID)
		printHeader(out, k.Proof)
		printHeader(out, k.Header)
		for _, name := range slices.Sorted(maps.Keys(k.Query)) {
			out.printf("  ?%s=%q\n", name, k.Query[name])
		}
		if k.Truncated {
			out.printf("only the beginning of the %d bytes that came was kept\n", k.BodyBytes)
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

func (c *quarantineReverifyCmd) Run(e *env) error {
	call := c.selectFlags.call()
	call.DryRun, call.AcceptStale, call.AcceptPathToken = c.DryRun, c.AcceptStale, c.AcceptPathToken
	return c.selectFlags.change("reverify", adminapi.JobReverify, adminapi.OutcomeEvents, &call).run(e, &c.apiFlag, nil)
}

// printEvents prints how many deliveries became events, and why others did not.
func printEvents(out *printer, report adminapi.KeptReport) {
	if report.DryRun {
		out.printf("%d looked at: %d would become events or are events already\n", report.LookedAt, report.Events)
	} else {
		out.printf("%d looked at: %d became events, %d were events already\n", report.LookedAt, report.Events, report.Duplicates)
	}
	printRemaining(out, report.Remaining)
}

type quarantineDropCmd struct {
	apiFlag
	selectFlags
	yesFlag
	DryRun bool `help:"Change nothing, say what would happen."`
}

// Validate is called by kong. A drop is final, so it must name its stream.
func (c quarantineDropCmd) Validate() error {
	if c.Stream == "" {
		return errors.New("--stream: say quarantine or refused")
	}
	return nil
}

func (c *quarantineDropCmd) Run(e *env) error {
	call := c.selectFlags.call()
	call.DryRun = c.DryRun
	drop := c.selectFlags.change("drop", adminapi.JobDropKept, adminapi.OutcomeDropped, &call)
	drop.prompt = func(would adminapi.KeptReport) string {
		return promptFor(would.Removed, "Remove %d %s for good?", c.selectFlags)
	}
	drop.print = func(out *printer, done adminapi.KeptReport) {
		word := map[bool]string{false: "", true: "would be "}[done.DryRun]
		out.printf("%d %sdropped\n", done.Removed, word)
	}
	return drop.run(e, &c.apiFlag, &c.yesFlag)
}

type quarantineAcceptCmd struct {
	apiFlag
	Seqs   []uint64 `arg:"" name:"id" help:"Numbers of entries in quarantine, as the list shows them."`
	DryRun bool     `help:"Change nothing, say what would happen."`
	Reason string   `placeholder:"TEXT" help:"Why, for the log of the bridge."`
}

func (c *quarantineAcceptCmd) Run(e *env) error {
	slices.Sort(c.Seqs)
	c.Seqs = slices.Compact(c.Seqs)
	call := adminapi.AcceptCall{Seqs: c.Seqs, DryRun: c.DryRun, By: operator(), Reason: c.Reason}
	var report adminapi.KeptReport
	if err := c.call(e, http.MethodPost, apiRoute("quarantine", "accept"), call, &report); err != nil {
		return err
	}
	if report.LookedAt == 0 && report.Stopped == "" {
		return fmt.Errorf("the entries %d are not in quarantine: hookspan quarantine list shows those that are", c.Seqs)
	}
	return printReport(e, report, func(out *printer, report adminapi.KeptReport) {
		printEvents(out, report)
		if gone := len(c.Seqs) - report.LookedAt; gone > 0 && report.Stopped == "" {
			out.printf("  %d are not in quarantine\n", gone)
		}
	})
}

// operator is the user of the verb and the machine, for the log.
func operator() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return printable.Truncate(name, 128)
}
