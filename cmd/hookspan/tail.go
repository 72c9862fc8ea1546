package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

type tailCmd struct {
	apiFlag
	liveFlags
	Consumer name `placeholder:"NAME" help:"Only what this consumer reads."`
}

// liveFlags select events as they are stored.
type liveFlags struct {
	Event      name `placeholder:"KIND" help:"Events of this kind: prediction, which is the default, or outputs.archived."`
	Source     name `placeholder:"NAME" help:"Only of this source."`
	Status     name `placeholder:"WORD" help:"Only of this status."`
	Model      name `placeholder:"GLOB" help:"Only of these models; * is any run of characters."`
	Prediction name `placeholder:"ID" help:"Only of this prediction."`
}

// check returns an error for a source or a consumer that does not exist, and when the bridge is
// away.
func (f *liveFlags) check(e *env, api *apiFlag, consumer name) error {
	var names adminapi.Names
	if err := api.get(e, apiRoute("names"), nil, &names); err != nil {
		return err
	}
	if err := oneOf("--source", f.Source, names.Sources); err != nil {
		return err
	}
	return oneOf("--consumer", consumer, names.Consumers)
}

func (f *liveFlags) query() url.Values {
	query := url.Values{}
	for key, value := range map[string]name{"event": f.Event, "source": f.Source, "status": f.Status, "model": f.Model, "prediction": f.Prediction} {
		if value != "" {
			query.Set(key, string(value))
		}
	}
	return query
}

// Run prints until Ctrl-C, which is no failure. A bridge that is away now is an error; one that
// goes away later is waited for.
func (c *tailCmd) Run(e *env) error {
	if err := c.check(e, &c.apiFlag, c.Consumer); err != nil {
		return err
	}
	api, err := c.client(e, e.connection)
	if err != nil {
		return err
	}
	defer api.Close()
	query := c.query()
	if c.Consumer != "" {
		query.Set("consumer", string(c.Consumer))
	}
	err = api.Live(e.ctx, client.LiveEvents, query, func(told client.Live) error { return printLive(e, told) })
	if e.ctx.Err() != nil {
		return nil
	}
	return err
}

// connection says that the stream of the bridge is broken, or with nil that it goes on.
func (e *env) connection(err error) {
	if err == nil {
		e.note("the bridge tells again")
		return
	}
	e.note("the bridge tells nothing, connecting again: %v", err)
}

// printLive prints an event on standard output. What is left out is said on standard error, so
// that a program reads events alone.
func printLive(e *env, told client.Live) error {
	switch told.Name {
	case adminapi.LiveEvent:
		if e.json {
			_, err := e.stdout.Write(append(printable.JSON(told.Data), '\n'))
			return err
		}
		var v adminapi.Event
		if err := json.Unmarshal(told.Data, &v); err != nil {
			return fmt.Errorf("reading what the bridge tells: %w", err)
		}
		out := &printer{w: e.stdout, colours: e.colours}
		out.printf("%d  %s  %s  ", v.Seq, v.StoredAt.Format(time.RFC3339), v.Source)
		out.raw(out.tint(toneOf(v.Status), printable.String(v.Status)))
		out.printf("  %s  %s\n", v.Prediction, orDash(v.Model))
		return out.err
	case adminapi.LiveGap, adminapi.LiveSampled:
		var l adminapi.LeftOut
		if err := json.Unmarshal(told.Data, &l); err != nil {
			return fmt.Errorf("reading what the bridge tells: %w", err)
		}
		switch l.Cause {
		case adminapi.GapAnew:
			e.note("the stream of events was made anew, and its numbers begin again: hookspan events list shows what it has")
		case adminapi.GapGone:
			e.note("up to %d events behind %d have left the stream meanwhile", l.LeftOut, l.After)
		default:
			e.note("up to %d events between %d and %d are left out: hookspan events list shows them", l.LeftOut, l.After, l.Until)
		}
	}
	return nil // or it is of a later version
}
