package client

import (
	"context"
	"errors"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/backoff"
)

const (
	// waitFor is how long one request waits; proxies in between usually allow more.
	waitFor = 25 * time.Second
	// answerMargin is the time that an answer needs to arrive before the caller's deadline.
	answerMargin = 250 * time.Millisecond
	// firstRetry and lastRetry bound the pause before another request.
	firstRetry = 200 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Await returns the state of a prediction as soon as it has ended or was given up. When ctx
// ends first, Await returns the last state, nil for none, and ctx's error. It tries again
// while the bridge is away or busy. Any other error is an [*Error]; its status is 404 when
// nothing has become known of the prediction within 25 s.
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
			err = errEarly // a bridge that is stopping answers early
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

// timeToWait lets the answer to one request arrive before ctx ends.
func timeToWait(ctx context.Context) time.Duration {
	wait := waitFor
	if deadline, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(deadline)-answerMargin)
	}
	return max(wait.Truncate(time.Millisecond), time.Millisecond)
}

// pause waits before another request, at least the answer's Retry-After; a random share
// keeps clients from coming back together.
func pause(ctx context.Context, retry *backoff.Backoff, err error) {
	wait := backoff.Spread(retry.Next())
	if answered, ok := errors.AsType[*Error](err); ok {
		wait += answered.RetryAfter
	}
	backoff.Sleep(ctx, wait)
}
