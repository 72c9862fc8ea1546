package client

import (
	"context"
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// waitFor is how long one request waits: less than what lies between lets pass.
	waitFor = 25 * time.Second
	// answerMargin is left of the caller's time for the answer to arrive.
	answerMargin = 250 * time.Millisecond
	// firstRetry and lastRetry bound the pause before another attempt.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Await returns what is known of a prediction as soon as it has its end, or was given
// up. When ctx ends before, it returns what was known last, nil for nothing, and ctx's
// error. While the bridge is away or busy it tries again. Any other error is an
// [*Error]; its status is 404 when nothing has become known of the prediction in 25 s.
func (c *Client) Await(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	var state *bridge.PredictionState
	retry := backoff.Backoff{First: firstRetry, Max: lastRetry}
	for {
		began := time.Now()
		s, err := c.get(ctx, source, id, timeToWait(ctx))
		switch {
		case err == nil && !s.Open():
			return s, nil
		case err == nil:
			state = s
			if time.Since(began) > lastRetry {
				retry.Reset()
			}
			err = errEarly // if it did not wait, that is because it stops
		case ctx.Err() == nil && !passes(err):
			return state, err
		}
		if ctx.Err() != nil {
			return state, ctx.Err()
		}
		if time.Since(began) < time.Second {
			pause(ctx, &retry, err)
		}
	}
}

var errEarly = errors.New("it has not ended yet")

// timeToWait is how long one request waits, so that its answer arrives before ctx ends.
func timeToWait(ctx context.Context) time.Duration {
	wait := waitFor
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-answerMargin)
	}
	return max(wait.Truncate(time.Millisecond), time.Millisecond)
}

// pause waits before another attempt, longer if the answer said so, and each client for
// a time of its own.
func pause(ctx context.Context, retry *backoff.Backoff, err error) {
	wait := backoff.Spread(retry.Next())
	if answered, ok := errors.AsType[*Error](err); ok {
		wait += answered.RetryAfter
	}
	backoff.Sleep(ctx, wait)
}
