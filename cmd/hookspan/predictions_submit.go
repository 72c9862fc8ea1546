package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
)

type announceFlags struct {
	Deadline  ahead             `placeholder:"TIME" help:"When its end should be known: a time, or in how long, such as 10m."`
	Reference string            `placeholder:"TEXT" help:"Your own name for it, such as an order."`
	Tenant    string            `placeholder:"TEXT" help:"Whom it is for."`
	Meta      map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"More that is to be remembered of it; can be repeated."`
}

type predictionsWatchCmd struct {
	apiFlag
	announceFlags
	ID     string `arg:"" help:"The prediction's id, as the provider wrote it."`
	Source string `default:"get3w" placeholder:"NAME" help:"The source that it is of."`
	Model  string `placeholder:"NAME" help:"Its model, such as get3w/flux-dev."`
}

func (c *predictionsWatchCmd) Run(e *env) error {
	api, err := c.client(e, nil)
	if err != nil {
		return err
	}
	defer api.Close()
	watched, err := api.Watch(e.ctx, bridge.Watch{
		Source: c.Source, Prediction: c.ID, Model: c.Model, Deadline: c.Deadline.Time, Reference: c.Reference, Tenant: c.Tenant, Metadata: c.Meta,
	})
	if err != nil {
		return err
	}
	return e.print(watched, func(out *printer) {
		out.printf("%q of %s is watched: %s, event %q\n", c.ID, c.Source, watched.Result, watched.ID)
	})
}

// maxInput bounds the input of a prediction, in bytes.
const maxInput = 1 << 20

type predictionsSubmitCmd struct {
	apiFlag
	announceFlags
	Model          string        `arg:"" help:"The model, such as get3w/flux-dev."`
	Source         string        `default:"get3w" placeholder:"NAME" help:"The source whose provider takes it."`
	Input          string        `default:"-" placeholder:"FILE" help:"The JSON object that the model takes; - is the standard input."`
	IdempotencyKey string        `placeholder:"KEY" help:"With the same key the same is submitted once, however often this is run."`
	Wait           bool          `help:"Wait for its end, as await does."`
	Timeout        time.Duration `placeholder:"DURATION" help:"With --wait: wait at most so long."`
}

func (c *predictionsSubmitCmd) Run(e *env) error {
	input, err := readInput("--input", c.Input, maxInput, e.stdin)
	switch {
	case err != nil:
		return err
	case !json.Valid(input):
		return errors.New("--input: it is not the JSON object that the model takes")
	}
	api, err := c.client(e, nil)
	if err != nil {
		return err
	}
	defer api.Close()
	s, err := api.Submit(e.ctx, client.SubmitRequest{
		Source: c.Source, Model: c.Model, Input: input, Deadline: c.Deadline.Time, Reference: c.Reference, Tenant: c.Tenant, Metadata: c.Meta,
		IdempotencyKey: c.IdempotencyKey,
	})
	if err != nil {
		return err
	}
	if c.Wait {
		out := &printer{w: e.stderr}
		out.printf("%q is submitted\n", s.ID)
		return c.await(e, s.Source, s.ID, c.Timeout)
	}
	replayed, estimate := "", ""
	if s.Replayed {
		replayed = " already"
	}
	if s.EstimatedDuration > 0 {
		estimate = fmt.Sprintf(", it takes about %v", time.Duration(s.EstimatedDuration*float64(time.Second)).Round(time.Second/10))
	}
	return e.print(s, func(out *printer) {
		out.printf("%q is submitted%s, it is %q%s: hookspan predictions await waits for its end\n", s.ID, replayed, s.Status, estimate)
	})
}
