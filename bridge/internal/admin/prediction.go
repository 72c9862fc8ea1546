package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// maxWait bounds the wait of one request; clients ask again.
	maxWait = 5 * time.Minute
	// lookBackAfter is how long a request waits for an unknown prediction before it
	// searches the events.
	lookBackAfter = time.Second
	// lastLook bounds the lookup at the end of a wait.
	lastLook = time.Second
	// answerTime is how long a client may take to read an answer.
	answerTime = 30 * time.Second
)

var errUnknown = echo.NewHTTPError(http.StatusNotFound, "Nothing is known of this prediction: announce it with PUT, or hookspan predictions watch.")

// show answers the state of a prediction, at once or when it has ended.
func (h predictionsAPI) show(c echo.Context) error {
	source, id, err := predictionOf(c)
	if err != nil {
		return err
	}
	wait, err := queryWait(c)
	if err != nil {
		return err
	}
	if wait > 0 {
		return h.await(c, source, id, wait)
	}
	s, err := h.lookUp(c.Request().Context(), source, id)
	if err != nil {
		return notFound(err)
	}
	return h.answer(c, s)
}

// lookUp returns the state of a prediction from the view, or from the events if the view does
// not know the prediction or may not know its end. The errors are those of
// [Predictions.Find], and any of [Predictions.Prediction] but [bridge.ErrNotFound].
func (h predictionsAPI) lookUp(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	s, err := h.predictions.Prediction(ctx, source, id)
	switch {
	case errors.Is(err, bridge.ErrNotFound):
		return h.predictions.Find(ctx, source, id)
	case err != nil || !s.Open() || !h.predictions.Behind():
		return s, err
	}
	if found, err := h.predictions.Find(ctx, source, id); err == nil && !found.Open() {
		return found, nil
	}
	return s, nil
}

// notFound turns an error of lookUp into its answer.
func notFound(err error) error {
	switch {
	case errors.Is(err, adminapi.ErrNoAnswer), errors.Is(err, adminapi.ErrUnavailable):
	case errors.Is(err, bridge.ErrNotFound):
		return errUnknown
	case errors.Is(err, adminapi.ErrBusy):
		return unavailable("The view does not know it, and too many look for others among the events: try again.")
	case errors.Is(err, context.DeadlineExceeded):
		return echo.NewHTTPError(http.StatusNotFound, "The view does not know it, and there are too many events to look at all of them: hookspan events list --prediction goes on looking.")
	}
	return err
}

func queryWait(c echo.Context) (time.Duration, error) {
	text := c.QueryParam("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > maxWait {
		return 0, badRequest("wait is a duration such as 25s, at most %v", maxWait)
	}
	return wait, nil
}

func (h predictionsAPI) answer(c echo.Context, s *bridge.PredictionState) error {
	s.Expire(time.Now(), h.predictions.Life(s.Source))
	return c.JSON(http.StatusOK, s)
}

// await answers the state of a prediction as soon as it is not open any more, or at the end
// of the wait or of the process.
func (h predictionsAPI) await(c echo.Context, source, id string, wait time.Duration) error {
	if err := http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(wait + answerTime)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), wait)
	defer cancel()
	past, stop := h.lookBack(ctx, source, id)
	defer stop()
	waited := make(chan looked, 1)
	go func() {
		s, err := h.waiting.Wait(ctx, source, id)
		waited <- looked{s, err}
	}()
	var old looked
	for {
		select {
		case old = <-past:
			if old.state != nil && !old.state.Open() {
				cancel()
				<-waited
				return h.answer(c, old.state)
			}
		case w := <-waited:
			s := cmp.Or(w.state, old.state)
			switch {
			case s != nil:
				return h.answer(c, s)
			case errors.Is(w.err, adminapi.ErrBusy):
				return unavailable("Too many wait for predictions: try again.")
			case ctx.Err() == nil:
				return unavailable("The view cannot be read now: try again.")
			case errors.Is(context.Cause(ctx), errStopping): // another process may know the prediction
				return h.lastLook(ctx, c, source, id, func(error) error {
					return unavailable("The bridge is stopping: try again.")
				})
			case errors.Is(old.err, bridge.ErrNotFound): // and nothing has come since
				return errUnknown
			}
			return h.lastLook(ctx, c, source, id, notFound)
		}
	}
}

// lastLook answers the current state when the wait is over, or unknown if nothing is known.
// The wait may have been too short to learn anything.
func (h predictionsAPI) lastLook(ctx context.Context, c echo.Context, source, id string, unknown func(error) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	s, err := h.lookUp(ctx, source, id)
	switch {
	case err == nil:
		return h.answer(c, s)
	case errors.Is(err, bridge.ErrNotFound), errors.Is(err, adminapi.ErrBusy), errors.Is(err, context.DeadlineExceeded):
		return unknown(err)
	}
	return unavailable("The view cannot be read now: try again.")
}

// looked is the result of a lookup.
type looked struct {
	state *bridge.PredictionState
	err   error
}

// lookBack searches the events for a prediction while its caller waits for it. It starts
// after lookBackAfter, since most predictions are announced in a moment. The channel gets
// at most one result. Stop ends the search and returns when it has ended.
func (h predictionsAPI) lookBack(ctx context.Context, source, id string) (found <-chan looked, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out, ended := make(chan looked, 1), make(chan struct{})
	go func() {
		defer close(ended)
		moment := time.NewTimer(lookBackAfter)
		defer moment.Stop()
		select {
		case <-ctx.Done():
		case <-moment.C:
			s, err := h.lookUp(ctx, source, id)
			out <- looked{s, err}
		}
	}()
	return out, func() { cancel(); <-ended }
}
