package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

type deadCmd struct {
	List    deadListCmd    `cmd:"" help:"List them, the newest first."`
	Groups  deadGroupsCmd  `cmd:"" help:"Show why they died: one line for each consumer, cause and kind of error, the newest first."`
	Show    deadShowCmd    `cmd:"" help:"Show one of them, with every attempt, its headers and its body."`
	Redrive deadRedriveCmd `cmd:"" help:"Give their events to the consumer again, as fresh ones. What it has handled since is left out. Their dead letters are removed. It asks before it takes all dead letters of a consumer or of a cause."`
	Drop    deadDropCmd    `cmd:"" help:"Remove them for good. It asks before."`
}

type deadListCmd struct {
	apiFlag
	Consumer   name `placeholder:"NAME" help:"Only of this consumer."`
	Cause      name `placeholder:"WORD" help:"Only of this cause."`
	Prediction name `placeholder:"ID" help:"Only of this prediction."`
	Group      name `placeholder:"ID" help:"Only of this group, as hookspan dead groups shows it."`
	pageFlags
}

func (c *deadListCmd) Run(e *env) error {
	var list adminapi.DeadLetterList
	query := map[string]string{"consumer": string(c.Consumer), "cause": string(c.Cause), "prediction": string(c.Prediction), "group": string(c.Group)}
	return c.list(e, &c.apiFlag, apiRoute("dead"), query, naming{consumer: c.Consumer, cause: c.Cause, causes: deadCauses}, &list, func() (*table, adminapi.Listed) {
		t := newTable("SEQ", "DIED", "CONSUMER", "CAUSE", "FAULT", "ATTEMPTS", "PREDICTION", "STATUS", "ERROR")
		for _, d := range list.Letters {
			t.row(d.Seq, d.DiedAt.Format(time.RFC3339), d.Consumer, d.Cause, d.Fault, d.Attempts, orDash(d.Prediction), orDash(d.Status), orDash(d.Error))
		}
		return t, list.Listed
	})
}

type deadShowCmd struct {
	apiFlag
	bodyFlag
	Seq uint64 `arg:"" help:"The dead letter's number."`
}

func (c *deadShowCmd) Run(e *env) error {
	return show(e, &c.apiFlag, c.bodyFlag, apiRoute("dead", strconv.FormatUint(c.Seq, 10)), func(out *printer, d adminapi.DeadLetterDetail) {
		out.printf("dead letter %d of consumer %s\ncause     %s, the fault is %s: %q\ndied      %s after %d attempts, redriven %d times before\n",
			d.Seq, d.Consumer, d.Cause, faultOf(d.Fault), d.Error, d.DiedAt.Format(time.RFC3339Nano), d.Attempts, d.Redrives)
		if d.Event != "" {
			out.printf("event     %d: %q\n", d.EventSeq, d.Event)
		}
		for _, a := range d.History {
			out.printf("attempt   %s, %d ms: %q\n", a.At.Format(time.RFC3339Nano), a.Took, a.Error)
			if a.Note != "" {
				out.printf("          %q\n", a.Note)
			}
		}
		printHeader(out, d.Header)
	})
}

func faultOf(f bridge.Fault) string {
	switch f {
	case bridge.FaultRefused:
		return "its target's, which does not want it"
	case bridge.FaultPoison:
		return "the event's: it ends whoever handles it"
	case bridge.FaultFailed:
	}
	return "that of the attempts, which failed"
}

type deadFlags struct {
	Consumer   name     `placeholder:"NAME" help:"Those of this consumer."`
	All        bool     `help:"Those of every consumer."`
	Seq        []uint64 `placeholder:"N" help:"Only these."`
	Cause      name     `placeholder:"WORD" help:"Only of this cause."`
	Prediction name     `placeholder:"ID" help:"Only of this prediction."`
	Group      name     `placeholder:"ID" help:"Those of this group, as hookspan dead groups shows it."`
}

func (f deadFlags) Validate() error {
	switch {
	case f.All && (f.Consumer != "" || f.Group != "" || len(f.Seq) > 0):
		return errors.New("--all is every consumer: leave it out, or --consumer, --group and --seq")
	case !f.All && f.Consumer == "" && f.Group == "" && len(f.Seq) == 0:
		return errors.New("say which: --consumer, --group, --seq, or --all")
	}
	return nil
}

func (f deadFlags) change(verb, kind, done string, how adminapi.RedeliveryOptions) *redelivery {
	call := &adminapi.DeadCall{
		Consumer: string(f.Consumer), Cause: bridge.DeadCause(f.Cause), Prediction: string(f.Prediction), Group: string(f.Group), Page: adminapi.Page{Seqs: f.Seq}, RedeliveryOptions: how,
	}
	return &redelivery{
		path: apiRoute("dead", verb), call: call, page: &call.Page, dryRun: &call.DryRun, rate: &call.Rate, kind: kind, done: done, all: f.All,
		named: naming{consumer: f.Consumer, cause: f.Cause, causes: deadCauses}, of: adminapi.NewRedeliveryReport, print: printRedelivery,
	}
}

func (f deadFlags) String() string {
	text := "dead letters"
	if f.Consumer != "" {
		text += fmt.Sprintf(" of consumer %s", f.Consumer)
	}
	if f.Cause != "" {
		text += fmt.Sprintf(" with cause %s", f.Cause)
	}
	if f.Prediction != "" {
		text += fmt.Sprintf(" of prediction %q", string(f.Prediction))
	}
	if f.Group != "" {
		text += fmt.Sprintf(" of group %s", f.Group)
	}
	return text
}

type deadRedriveCmd struct {
	apiFlag
	deadFlags
	redeliverFlags
	yesFlag
}

// Run asks first unless dead letters or a prediction are named.
func (c *deadRedriveCmd) Run(e *env) error {
	redrive := c.deadFlags.change("redrive", adminapi.JobRedrive, adminapi.OutcomeGiven, c.redeliverFlags.call())
	redrive.prompt = func(would adminapi.RedeliveryReport) string {
		return promptFor(would.Given, "Give the events of %d %s to the consumer again, and remove the dead letters?", c.deadFlags)
	}
	if len(c.Seq) > 0 || c.Prediction != "" {
		return redrive.run(e, &c.apiFlag, nil)
	}
	return redrive.run(e, &c.apiFlag, &c.yesFlag)
}

type deadDropCmd struct {
	apiFlag
	deadFlags
	yesFlag
	DryRun bool `help:"Change nothing, say what would happen."`
}

func (c *deadDropCmd) Run(e *env) error {
	drop := c.deadFlags.change("drop", adminapi.JobDropDead, adminapi.OutcomeDropped, adminapi.RedeliveryOptions{DryRun: c.DryRun})
	drop.print = printDropped
	drop.prompt = func(would adminapi.RedeliveryReport) string {
		return promptFor(would.Dropped, "Remove %d %s for good?", c.deadFlags)
	}
	return drop.run(e, &c.apiFlag, &c.yesFlag)
}
