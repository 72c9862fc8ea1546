package main

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge/admin"
)

type eventsCmd struct {
	List   eventsListCmd   `cmd:"" help:"List them, the oldest first."`
	Show   eventsShowCmd   `cmd:"" help:"Show one of them, with its headers and its body."`
	Replay eventsReplayCmd `cmd:"" help:"Give some of them to one consumer again."`
}

type eventsListCmd struct {
	apiFlag
	Event      string `placeholder:"KIND" help:"Events of this kind: prediction, which is the default, or outputs.archived."`
	Source     string `placeholder:"NAME" help:"Only of this source."`
	Status     string `placeholder:"WORD" help:"Only of this status."`
	Model      string `placeholder:"GLOB" help:"Only of these models; * is any run of characters."`
	Prediction string `placeholder:"ID" help:"Only of this prediction."`
	Since      moment `placeholder:"TIME" help:"Only those that were stored then or later: a time, or so long ago, such as 2h."`
	Until      moment `placeholder:"TIME" help:"Only those that were stored before."`
	Limit      int    `default:"100" help:"At most so many, 1 to 1000."`
	After      uint64 `placeholder:"N" help:"Only those behind this one."`
}

func (c *eventsListCmd) Run(e *env) error {
	var list admin.EventList
	err := c.get(e.ctx, apiRoute("events"), map[string]string{
		"event": c.Event, "source": c.Source, "status": c.Status, "model": c.Model, "prediction": c.Prediction,
		"since": c.Since.query(), "until": c.Until.query(), "limit": strconv.Itoa(c.Limit), "after": optional(c.After),
	}, &list)
	if err != nil {
		return err
	}
	if e.json {
		return json.NewEncoder(e.stdout).Encode(list)
	}
	out := &printer{w: e.stdout}
	for _, v := range list.Events {
		out.printf("%8d  %s  %-12s %-11s %8v  %q  %q\n", v.Seq, v.StoredAt.Format(time.RFC3339), v.Source, v.Status, byteSize(v.BodyBytes), v.Prediction, v.Model)
	}
	switch {
	case list.More:
		out.printf("and there may be more: go on with --after %d, or raise --limit\n", list.Last)
	case len(list.Events) == 0:
		out.printf("there is none\n")
	}
	return out.err
}

type eventsShowCmd struct {
	apiFlag
	Seq uint64 `arg:"" help:"The event's number."`
}

func (c *eventsShowCmd) Run(e *env) error {
	var v admin.EventDetail
	if err := c.get(e.ctx, apiRoute("events", strconv.FormatUint(c.Seq, 10)), nil, &v); err != nil {
		return err
	}
	if e.json {
		return json.NewEncoder(e.stdout).Encode(v)
	}
	out := &printer{w: e.stdout}
	out.printf("event %d: %q\nsubject   %s\nstored    %s\n", v.Seq, v.ID, v.Subject, v.StoredAt.Format(time.RFC3339Nano))
	if v.Problem != "" {
		out.printf("problem   %q\n", v.Problem)
	}
	printMessage(out, v.Header, v.Bytes())
	return out.err
}

type eventsReplayCmd struct {
	apiFlag
	redeliverFlags
	Consumer   string   `required:"" placeholder:"NAME" help:"Who is given them. Without --seq it is given only what it reads anyway."`
	Seq        []uint64 `placeholder:"N" help:"Only these."`
	Event      string   `placeholder:"KIND" help:"Events of this kind, such as outputs.archived; the default is what the consumer is configured to read, or prediction."`
	Source     []string `placeholder:"NAME" help:"Only of these sources."`
	Status     []string `placeholder:"WORD" help:"Only of these statuses."`
	Model      string   `placeholder:"GLOB" help:"Only of these models; * is any run of characters."`
	Prediction string   `placeholder:"ID" help:"Only of this prediction."`
	Since      moment   `placeholder:"TIME" help:"Only those that were stored then or later: a time, or so long ago, such as 2h."`
	Until      moment   `placeholder:"TIME" help:"Only those that were stored before."`
}

func (c *eventsReplayCmd) Run(e *env) error {
	call := admin.EventCall{
		Consumer: c.Consumer, Run: rand.Text(), Event: c.Event, Sources: c.Source, Statuses: c.Status, Model: c.Model, Prediction: c.Prediction,
		Since: c.Since.Time, Until: c.Until.Time, Page: admin.Page{Seqs: c.Seq, Limit: redeliverPage},
		RedeliveryCall: c.redeliverFlags.call(),
	}
	return c.redeliver(e, apiRoute("events", "replay"), &call.Page, &call)
}
