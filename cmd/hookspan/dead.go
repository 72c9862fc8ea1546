package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/admin"
)

type deadCmd struct {
	List    deadListCmd    `cmd:"" help:"List them, the oldest first."`
	Show    deadShowCmd    `cmd:"" help:"Show one of them, with every attempt, its headers and its body."`
	Redrive deadRedriveCmd `cmd:"" help:"Give their events to the consumer again, as fresh ones. What it has handled since is left out. Their dead letters are removed."`
	Drop    deadDropCmd    `cmd:"" help:"Remove them for good."`
}

type deadListCmd struct {
	apiFlag
	Consumer   string `placeholder:"NAME" help:"Only of this consumer."`
	Cause      string `placeholder:"WORD" help:"Only of this cause."`
	Prediction string `placeholder:"ID" help:"Only of this prediction."`
	Limit      int    `default:"100" help:"At most so many, 1 to 1000."`
	After      uint64 `placeholder:"N" help:"Only those behind this one."`
}

func (c *deadListCmd) Run(e *env) error {
	var list admin.DeadLetterList
	err := c.get(e.ctx, apiRoute("dead"), map[string]string{
		"consumer": c.Consumer, "cause": c.Cause, "prediction": c.Prediction, "limit": strconv.Itoa(c.Limit), "after": optional(c.After),
	}, &list)
	if err != nil {
		return err
	}
	if e.json {
		return json.NewEncoder(e.stdout).Encode(list)
	}
	out := &printer{w: e.stdout}
	for _, d := range list.Letters {
		what := d.Prediction + " " + d.Status
		if d.Event == "" {
			what = "no event"
		}
		out.printf("%6d  %s  %-20s %-11s %-8s %3d attempts  %q  %q\n", d.Seq, d.DiedAt.Format(time.RFC3339), d.Consumer, d.Cause, d.Fault, d.Attempts, what, d.Error)
	}
	switch {
	case list.More:
		out.printf("and there may be more: go on with --after %d, or raise --limit\n", list.Last)
	case len(list.Letters) == 0:
		out.printf("there is none\n")
	}
	return out.err
}

type deadShowCmd struct {
	apiFlag
	Seq uint64 `arg:"" help:"The letter's number."`
}

func (c *deadShowCmd) Run(e *env) error {
	var d admin.DeadLetterDetail
	if err := c.get(e.ctx, apiRoute("dead", strconv.FormatUint(c.Seq, 10)), nil, &d); err != nil {
		return err
	}
	if e.json {
		return json.NewEncoder(e.stdout).Encode(d)
	}
	out := &printer{w: e.stdout}
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
	printMessage(out, d.Header, d.Bytes())
	return out.err
}

// faultOf says whose fault it is.
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

// letterFlags say which dead letters are meant.
type letterFlags struct {
	Consumer   string   `placeholder:"NAME" help:"Those of this consumer."`
	Seq        []uint64 `placeholder:"N" help:"Only these."`
	Cause      string   `placeholder:"WORD" help:"Only of this cause."`
	Prediction string   `placeholder:"ID" help:"Only of this prediction."`
}

// Validate is called by kong.
func (f letterFlags) Validate() error {
	if f.Consumer == "" && len(f.Seq) == 0 {
		return errors.New("say which: --consumer, or --seq")
	}
	return nil
}

func (f letterFlags) call() admin.DeadCall {
	return admin.DeadCall{
		Consumer: f.Consumer, Cause: bridge.DeadCause(f.Cause), Prediction: f.Prediction,
		Page: admin.Page{Seqs: f.Seq, Limit: redeliverPage},
	}
}

// redeliverFlags say how events are given again.
type redeliverFlags struct {
	Rate    float64 `placeholder:"N" help:"At most so many events a second, 0.1 or more."`
	Handled bool    `help:"Also those that the consumer is known to have handled."`
	DryRun  bool    `help:"Change nothing, say what would happen."`
}

func (f redeliverFlags) call() admin.RedeliveryCall {
	return admin.RedeliveryCall{Rate: f.Rate, Handled: f.Handled, DryRun: f.DryRun}
}

type deadRedriveCmd struct {
	apiFlag
	letterFlags
	redeliverFlags
}

func (c *deadRedriveCmd) Run(e *env) error {
	call := c.letterFlags.call()
	call.RedeliveryCall = c.redeliverFlags.call()
	return c.redeliver(e, apiRoute("dead", "redrive"), &call.Page, &call)
}

type deadDropCmd struct {
	apiFlag
	letterFlags
	DryRun bool `help:"Change nothing, say what would happen."`
}

func (c *deadDropCmd) Run(e *env) error {
	call := c.letterFlags.call()
	call.DryRun = c.DryRun
	return c.redeliver(e, apiRoute("dead", "drop"), &call.Page, &call)
}
