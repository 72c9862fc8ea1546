package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
	"github.com/hookspan/hookspan/internal/eventstream"
)

// silence is how long a silent stream counts as alive: more than two heartbeats of the
// bridge.
const silence = 45 * time.Second

// Follow calls each with the state of a prediction, then with each change and each
// progress, until the prediction has ended or was given up. When the stream breaks, Follow
// connects again and tells the state once more. It returns the error of each, ctx's error
// when ctx ends, or an [*Error] with status 404 when nothing is known of the prediction.
func (c *Client) Follow(ctx context.Context, source, id string, each func(bridge.PredictionUpdate) error) error {
	if err := check(source, id); err != nil {
		return err
	}
	err := c.reconnect(ctx, func(told func()) error {
		return c.stream(ctx, route(source, id)+"/events", nil, nil, func(e eventstream.Event) error {
			if e.Data == "" {
				return nil
			}
			u, err := parseUpdate(e.Name, e.Data)
			if err != nil || u == (bridge.PredictionUpdate{}) { // an event of a later version
				return err
			}
			told()
			if err := each(u); err != nil {
				return &callerError{err}
			}
			if u.State != nil && !u.State.Open() {
				return errEnd
			}
			return nil
		})
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

var errEnd = errors.New("the prediction has ended")

// callerError wraps what the caller's function returned.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// reconnect calls connect until it returns an error that does not pass, and returns that, what
// the caller's function returned, or ctx's error. Connect calls told whenever it is told
// something.
func (c *Client) reconnect(ctx context.Context, connect func(told func()) error) error {
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	broken := false
	for {
		err := connect(func() {
			retry.Reset()
			if broken {
				broken = false
				c.connection(nil)
			}
		})
		if called, ok := errors.AsType[*callerError](err); ok {
			return called.err
		}
		switch {
		case errors.Is(err, errEnd):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !passes(err):
			return err
		case !broken:
			broken = true
			c.connection(err)
		}
		pause(ctx, &retry, err)
	}
}

// stream reads one stream of Server-Sent Events. It never returns nil.
func (c *Client) stream(ctx context.Context, path string, query url.Values, header http.Header, each func(eventstream.Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	all := http.Header{"Accept": {"text/event-stream"}}
	maps.Copy(all, header)
	res, err := c.send(ctx, http.MethodGet, path, query, all, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	err = eventstream.Read(res.Body, maxState, func() { dead.Reset(silence) }, func(e eventstream.Event) error {
		dead.Stop() // the caller may be slow
		defer dead.Reset(silence)
		return each(e)
	})
	if errors.Is(err, eventstream.ErrBroken) {
		err = &connectionError{fmt.Errorf("reading what the bridge tells: %w", err)}
	}
	return err
}

func parseUpdate(kind, data string) (u bridge.PredictionUpdate, err error) {
	switch kind {
	case "state":
		err = json.Unmarshal([]byte(data), &u.State)
	case "progress":
		u.Progress, err = bridge.ParseProgress([]byte(data))
	}
	if err != nil {
		return u, fmt.Errorf("reading what the bridge tells: %w", err)
	}
	return u, nil
}
