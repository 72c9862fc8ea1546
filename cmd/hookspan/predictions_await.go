package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/client"
)

type predictionsAwaitCmd struct {
	apiFlag
	predictionFlags
	Timeout time.Duration `placeholder:"DURATION" help:"Wait at most so long, such as 10m; for ever otherwise."`
}

// Run waits. Its exit code says how the prediction ended.
func (c *predictionsAwaitCmd) Run(e *env) error {
	if err := c.which(e, &c.predictionFlags); err != nil {
		return err
	}
	return c.await(e, c.Source, c.ID, c.Timeout)
}

func (f *apiFlag) await(e *env, source, id string, timeout time.Duration) error {
	api, err := f.client(e, nil)
	if err != nil {
		return err
	}
	defer api.Close()
	ctx := e.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	// A bridge that is away now is an error at once. A bridge that goes away later is waited
	// for.
	state, err := api.Get(ctx, source, id)
	answered, ok := errors.AsType[*client.Error](err)
	switch later := ok && (answered.Status == http.StatusNotFound || answered.Status == http.StatusServiceUnavailable); {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return waited(id, "it is not known yet", err)
	case err != nil && !later:
		return err
	case ok && answered.Status == http.StatusNotFound && f.unknown(e, source, nil) != nil:
		return f.unknown(e, source, err) // its end will never be known
	case later || state.Open():
		var last *bridge.PredictionState
		last, err = untilEnd(ctx, e, api, source, id)
		state = cmp.Or(last, state)
	}
	return printEnd(e, id, state, err)
}

// untilEnd waits, and shows the progress of the prediction on a terminal.
func untilEnd(ctx context.Context, e *env, api *client.Client, source, id string) (state *bridge.PredictionState, err error) {
	if e.json || !isTerminal(e.stderr) {
		return api.Await(ctx, source, id)
	}
	bar := newProgressBar(e.stderr)
	defer bar.clear()
	err = api.Follow(ctx, source, id, func(u bridge.PredictionUpdate) error {
		if u.State != nil {
			state = u.State
			return nil
		}
		return bar.draw(u.Progress.Progress, strconv.Quote(u.Progress.Status))
	})
	return state, err
}

// printEnd prints the end of a prediction. It returns nil for a completed one.
func printEnd(e *env, id string, s *bridge.PredictionState, err error) error {
	if s == nil && err != nil {
		return waited(id, "it is not known yet", err)
	}
	if e.json {
		if err := writeJSON(e.stdout, s); err != nil {
			return err
		}
	}
	switch {
	case err != nil:
		return waited(id, "it is "+s.Status, err)
	case s.Lost != nil:
		return fmt.Errorf("prediction %q was given up: %s: %q", id, s.Lost.Cause, s.Lost.Error)
	case s.Status != bridge.StatusCompleted:
		return fmt.Errorf("prediction %q is %s: %q", id, s.Status, s.Error)
	case e.json:
		return nil
	}
	out := &printer{w: e.stdout}
	for i, o := range s.Outputs {
		out.printf("%s\n", place(i, o))
	}
	if more := s.OutputCount - len(s.Outputs); more > 0 {
		out.printf("and %d more: hookspan events show prints the event that has them\n", more)
	}
	return out.err
}

// waited is the error of a wait whose end is unknown.
func waited(id, how string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("prediction %q has not ended within --timeout: %s", id, how)
	}
	return fmt.Errorf("waiting for prediction %q, %s: %w", id, how, err)
}
