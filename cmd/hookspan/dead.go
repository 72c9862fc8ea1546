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
	Show    deadShowCmd    `cmd:"" help:"Show one of them, with every attempt, its headers and its body."`
	Redrive deadRedriveCmd `cmd:"" help:"Give their events to the consumer again, as fresh ones. What it has handled since is left out. Their dead letters are removed. It asks before it takes all letters of a consumer or of a cause."`
	Drop    deadDropCmd    `cmd:"" help:"Remove them for good. It asks before."`
}

type deadListCmd struct {
	apiFlag
	Consumer   name `placeholder:"NAME" help:"Only of this consumer."`
	Cause      name `placeholder:"WORD" help:"Only of this cause."`
	Prediction name `placeholder:"ID" help:"Only of this prediction."`
	pageFlags
}

// Run lists the newest first.
func (c *deadListCmd) Run(e *env) error {
	var list adminapi.DeadLetterList
	err := c.get(e, apiRoute("dead"), c.query(map[string]string{
		"consumer": string(c.Consumer), "cause": string(c.Cause), "prediction": string(c.Prediction),
	}), &list)
	if err == nil && len(list.Letters) == 0 {
		err = c.known(e, naming{consumer: c.Consumer, cause: c.Cause, causes: deadCauses})
	}
	if err != nil {
		return err
	}
	if e.json {
		return writeJSON(e.stdout, list)
	}
	t := newTable("SEQ", "DIED", "CONSUMER", "CAUSE", "FAULT", "ATTEMPTS", "PREDICTION", "STATUS", "ERROR")
	for _, d := range list.Letters {
		t.row(d.Seq, d.DiedAt.Format(time.RFC3339), d.Consumer, d.Cause, d.Fault, d.Attempts, orDash(d.Prediction), orDash(d.Status), orDash(d.Error))
	}
	return c.print(e, t, len(list.Letters), list.More, list.Last)
}

type deadShowCmd struct {
	apiFlag
	bodyFlag
	Seq uint64 `arg:"" help:"The letter's number."`
}

// Run shows it.
func (c *deadShowCmd) Run(e *env) error {
	var d adminapi.DeadLetterDetail
	if err := c.get(e, apiRoute("dead", strconv.FormatUint(c.Seq, 10)), nil, &d); err != nil {
		return err
	}
	return c.show(e, d, d.Bytes(), func(out *printer) {
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
	Consumer   name     `placeholder:"NAME" help:"Those of this consumer."`
	Seq        []uint64 `placeholder:"N" help:"Only these."`
	Cause      name     `placeholder:"WORD" help:"Only of this cause."`
	Prediction name     `placeholder:"ID" help:"Only of this prediction."`
}

// Validate is called by kong.
func (f letterFlags) Validate() error {
	if f.Consumer == "" && len(f.Seq) == 0 {
		return errors.New("say which: --consumer, or --seq")
	}
	return nil
}

func (f letterFlags) call() adminapi.DeadCall {
	return adminapi.DeadCall{
		Consumer: string(f.Consumer), Cause: bridge.DeadCause(f.Cause), Prediction: string(f.Prediction),
		Page: adminapi.Page{Seqs: f.Seq, Limit: redeliverPage},
	}
}

func (f letterFlags) naming() naming {
	return naming{consumer: f.Consumer, cause: f.Cause, causes: deadCauses}
}

// String says which they are.
func (f letterFlags) String() string {
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
	return text
}

// redeliverFlags say how events are given again.
type redeliverFlags struct {
	Rate    float64 `placeholder:"N" help:"At most so many events a second, 0.1 or more."`
	Handled bool    `help:"Also those that the consumer is known to have handled."`
	DryRun  bool    `help:"Change nothing, say what would happen."`
}

func (f redeliverFlags) call() adminapi.RedeliveryCall {
	return adminapi.RedeliveryCall{Rate: f.Rate, Handled: f.Handled, DryRun: f.DryRun}
}

type deadRedriveCmd struct {
	apiFlag
	letterFlags
	redeliverFlags
	yesFlag
}

// Run redrives; it asks unless letters or a prediction are named.
func (c *deadRedriveCmd) Run(e *env) error {
	call := c.letterFlags.call()
	call.RedeliveryCall = c.redeliverFlags.call()
	if len(c.Seq) == 0 && c.Prediction == "" && !c.DryRun {
		err := c.confirm(e, func() (string, error) {
			dry := call
			dry.DryRun = true
			sum, err := c.sum(e, apiRoute("dead", "redrive"), &dry.Page, &dry)
			return asked(sum.Given, "Give the events of %d %s to the consumer again, and remove the letters?", c.letterFlags), err
		})
		if err != nil {
			return err
		}
	}
	return c.redeliver(e, apiRoute("dead", "redrive"), &call.Page, &call, c.naming())
}

type deadDropCmd struct {
	apiFlag
	letterFlags
	yesFlag
	DryRun bool `help:"Change nothing, say what would happen."`
}

// Run drops; it asks.
func (c *deadDropCmd) Run(e *env) error {
	call := c.letterFlags.call()
	call.DryRun = c.DryRun
	if !c.DryRun {
		err := c.confirm(e, func() (string, error) {
			dry := call
			dry.DryRun = true
			sum, err := c.sum(e, apiRoute("dead", "drop"), &dry.Page, &dry)
			return asked(sum.Dropped, "Remove %d %s for good?", c.letterFlags), err
		})
		if err != nil {
			return err
		}
	}
	return c.redeliver(e, apiRoute("dead", "drop"), &call.Page, &call, c.naming())
}
