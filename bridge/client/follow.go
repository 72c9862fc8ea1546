package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
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
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for {
		err := c.stream(ctx, source, id, func(u bridge.PredictionUpdate) error {
			retry.Reset()
			if err := each(u); err != nil {
				return &callerError{err}
			}
			if u.State != nil && !u.State.Open() {
				return errEnd
			}
			return nil
		})
		if called, ok := errors.AsType[*callerError](err); ok {
			return called.err
		}
		switch {
		case errors.Is(err, errEnd):
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !passes(err):
			return err
		}
		pause(ctx, &retry, err)
	}
}

var errEnd = errors.New("the prediction has ended")

// callerError wraps what the caller's function returned.
type callerError struct{ err error }

func (e *callerError) Error() string { return e.err.Error() }

// stream reads one stream of Server-Sent Events. It never returns nil.
func (c *Client) stream(ctx context.Context, source, id string, each func(bridge.PredictionUpdate) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dead := time.AfterFunc(silence, cancel)
	defer dead.Stop()
	res, err := c.send(ctx, http.MethodGet, route(source, id)+"/events", nil, http.Header{"Accept": {"text/event-stream"}}, nil)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxState)
	var kind, data string
	for lines.Scan() {
		dead.Reset(silence)
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "event":
			kind = value
		case name == "data":
			data = value // the bridge writes data on one line
		case lines.Text() == "" && data != "":
			u, err := parseUpdate(kind, data)
			if err != nil {
				return err
			}
			kind, data = "", ""
			if u == (bridge.PredictionUpdate{}) {
				continue // an event of a later version
			}
			dead.Stop() // the caller may be slow
			if err := each(u); err != nil {
				return err
			}
			dead.Reset(silence)
		}
	}
	err = lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("reading what the bridge tells: %w", err)
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return &connectionError{fmt.Errorf("reading what the bridge tells: %w", err)}
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
