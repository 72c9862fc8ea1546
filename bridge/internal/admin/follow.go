package admin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// maxFollow bounds one request that follows a prediction; clients reconnect, as
	// browsers do by themselves.
	maxFollow = time.Hour
	// firstWord is how long an unknown prediction is followed: longer than the search
	// through the events takes.
	firstWord = 15 * time.Second
	// heartbeat keeps proxies from closing a silent connection.
	heartbeat = 15 * time.Second
)

// follow sends a prediction's state and progress as Server-Sent Events.
func (h predictionsAPI) follow(c echo.Context) error {
	source, id, err := predictionOf(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), maxFollow)
	defer cancel()
	past, stop := h.lookBack(ctx, source, id)
	defer stop()
	updates, ended := make(chan bridge.PredictionUpdate), make(chan error, 1)
	go func() {
		ended <- h.waiting.Follow(ctx, source, id, func(u bridge.PredictionUpdate) error {
			select {
			case updates <- u:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	err = h.stream(ctx, c, past, updates, ended)
	cancel()
	return err
}

// stream writes updates until the prediction is not open any more.
func (h predictionsAPI) stream(
	ctx context.Context, c echo.Context, past <-chan looked, updates <-chan bridge.PredictionUpdate, ended <-chan error,
) error {
	out := eventStream{c: c, within: answerTime}
	unknown := time.NewTimer(firstWord)
	defer unknown.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var u bridge.PredictionUpdate
		select {
		case u = <-updates:
		case old := <-past:
			// The hub tells the state of an open prediction, unless it does not know the
			// prediction.
			if u.State = old.state; u.State == nil || out.begun && u.State.Open() {
				continue
			}
		case <-beat.C:
			if out.begun {
				if err := out.send("", nil, nil); err != nil {
					return nil // the client is gone
				}
			}
			continue
		case <-unknown.C:
			if !out.begun {
				return errUnknown
			}
			continue
		case err := <-ended:
			return h.end(ctx, out.begun, err)
		}
		if u.State != nil {
			u.State.Expire(time.Now(), h.predictions.Life(u.State.Source))
		}
		if err := sendUpdate(&out, u); err != nil {
			return nil // the client is gone
		}
		if u.State != nil && !u.State.Open() {
			return nil
		}
	}
}

// end answers a client that has been told nothing yet.
func (h predictionsAPI) end(ctx context.Context, begun bool, err error) error {
	switch {
	case begun:
		return nil
	case errors.Is(err, adminapi.ErrBusy):
		return unavailable("Too many wait for predictions: try again.")
	case ctx.Err() != nil:
		return unavailable("The process stops: try again.")
	}
	return unavailable("The view cannot be read now: try again.")
}

func sendUpdate(out *eventStream, u bridge.PredictionUpdate) error {
	kind, id, data := "progress", (*uint64)(nil), any(u.Progress)
	if u.State != nil {
		kind, id, data = "state", &u.State.Sequence, u.State
	}
	text, err := json.Marshal(data) // JSON has no line break
	if err != nil {
		return err
	}
	return out.send(kind, id, text)
}
