package main

import (
	"crypto/rand"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
)

type eventsCmd struct {
	List   eventsListCmd   `cmd:"" help:"List them, the newest first."`
	Show   eventsShowCmd   `cmd:"" help:"Show one of them, with its headers and its body."`
	Replay eventsReplayCmd `cmd:"" help:"Give some of them to one consumer again. It asks unless --seq or --prediction says which."`
}

type eventsListCmd struct {
	apiFlag
	Event      name   `placeholder:"KIND" help:"Events of this kind: prediction, which is the default, or outputs.archived."`
	Source     name   `placeholder:"NAME" help:"Only of this source."`
	Status     name   `placeholder:"WORD" help:"Only of this status."`
	Model      name   `placeholder:"GLOB" help:"Only of these models; * is any run of characters."`
	Prediction name   `placeholder:"ID" help:"Only of this prediction."`
	Since      moment `placeholder:"TIME" help:"Only those that were stored then or later: a time, or so long ago, such as 2h."`
	Until      moment `placeholder:"TIME" help:"Only those that were stored before."`
	pageFlags
}

func (c *eventsListCmd) Run(e *env) error {
	var list adminapi.EventList
	query := map[string]string{
		"event": string(c.Event), "source": string(c.Source), "status": string(c.Status), "model": string(c.Model), "prediction": string(c.Prediction),
		"since": c.Since.query(), "until": c.Until.query(),
	}
	return c.list(e, &c.apiFlag, apiRoute("events"), query, naming{sources: oneName(c.Source), statuses: oneName(c.Status)}, &list, func() (*table, adminapi.Listed) {
		t := newTable("SEQ", "STORED", "SOURCE", "STATUS", "SIZE", "PREDICTION", "MODEL")
		for _, v := range list.Events {
			t.row(v.Seq, v.StoredAt.Format(time.RFC3339), orDash(v.Source), orDash(v.Status), config.ByteSize(v.BodyBytes), orDash(v.Prediction), orDash(v.Model))
		}
		return t, list.Listed
	})
}

type eventsShowCmd struct {
	apiFlag
	bodyFlag
	Seq uint64 `arg:"" help:"The event's number."`
}

func (c *eventsShowCmd) Run(e *env) error {
	return show(e, &c.apiFlag, c.bodyFlag, apiRoute("events", strconv.FormatUint(c.Seq, 10)), func(out *printer, v adminapi.EventDetail) {
		out.printf("event %d: %q\nsubject   %s\nstored    %s\n", v.Seq, v.ID, v.Subject, v.StoredAt.Format(time.RFC3339Nano))
		if v.Problem != "" {
			out.printf("problem   %q\n", v.Problem)
		}
		printHeader(out, v.Header)
	})
}

type eventsReplayCmd struct {
	apiFlag
	redeliverFlags
	yesFlag
	Consumer   name     `required:"" placeholder:"NAME" help:"Who is given them. Without --seq it is given only what it reads anyway."`
	Seq        []uint64 `placeholder:"N" help:"Only these."`
	Event      name     `placeholder:"KIND" help:"Events of this kind, such as outputs.archived; the default is what the consumer is configured to read, or prediction."`
	Source     nameList `placeholder:"NAME" help:"Only of these sources."`
	Status     nameList `placeholder:"WORD" help:"Only of these statuses."`
	Model      name     `placeholder:"GLOB" help:"Only of these models; * is any run of characters."`
	Prediction name     `placeholder:"ID" help:"Only of this prediction."`
	Since      moment   `placeholder:"TIME" help:"Only those that were stored then or later: a time, or so long ago, such as 2h."`
	Until      moment   `placeholder:"TIME" help:"Only those that were stored before."`
}

// Run asks first unless events or a prediction are named.
func (c *eventsReplayCmd) Run(e *env) error {
	call := adminapi.EventCall{
		Consumer: string(c.Consumer), Run: rand.Text(), Prediction: string(c.Prediction),
		FilterCall: adminapi.FilterCall{Event: string(c.Event), Sources: texts(c.Source), Statuses: texts(c.Status), Model: string(c.Model)},
		Since:      c.Since.Time, Until: c.Until.Time, Page: adminapi.Page{Seqs: c.Seq},
		RedeliveryOptions: c.redeliverFlags.call(),
	}
	replay := &redelivery{
		path: apiRoute("events", "replay"), call: &call, page: &call.Page, dryRun: &call.DryRun, rate: &call.Rate, kind: adminapi.JobReplay, done: adminapi.OutcomeGiven,
		named: naming{consumer: c.Consumer, sources: c.Source, statuses: c.Status}, of: adminapi.NewRedeliveryReport, print: printRedelivery,
		prompt: func(would adminapi.RedeliveryReport) string {
			return promptFor(would.Given, "Give %d events to consumer %s again?", c.Consumer)
		},
	}
	if len(c.Seq) > 0 || c.Prediction != "" {
		return replay.run(e, &c.apiFlag, nil)
	}
	return replay.run(e, &c.apiFlag, &c.yesFlag)
}
