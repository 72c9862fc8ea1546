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
	// maxWait is how long one request waits at most. Who wants more asks again.
	maxWait = 5 * time.Minute
	// lookBackAfter is for how long one that is not known is only waited for.
	lookBackAfter = time.Second
	// lastLook bounds the look at the prediction store and the events at the end of a wait.
	lastLook = time.Second
	// storeSilence is after what time a prediction store that said nothing is taken for one that
	// nobody keeps: twice as long as its status gets old.
	storeSilence = 2 * time.Minute
	// answerTime is how long a client may take to read an answer.
	answerTime = 30 * time.Second
)

// errUnknown: there is no such prediction.
var errUnknown = echo.NewHTTPError(http.StatusNotFound, "Nothing is known of this prediction: announce it with PUT, or hookspan predictions watch.")

// show answers what is known of a prediction, at once or when it has ended.
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
		return notFound(c, err)
	}
	return h.answer(c, s)
}

// lookUp returns what the prediction store knows of a prediction, or where that knows nothing, or
// may not know its end, what its events say. The errors are those of
// [Predictions.Find], and what is not [bridge.ErrNotFound] of [Predictions.Get].
func (h predictionsAPI) lookUp(ctx context.Context, source, id string) (*bridge.PredictionState, error) {
	s, err := h.predictions.Get(ctx, source, id)
	switch {
	case errors.Is(err, bridge.ErrNotFound):
		return h.predictions.Find(ctx, source, id)
	case err != nil || !s.Open() || !h.behind(ctx):
		return s, err
	}
	if found, err := h.predictions.Find(ctx, source, id); err == nil && !found.Open() {
		return found, nil
	}
	return s, nil
}

// behind reports whether the prediction store does not follow the events now.
func (h predictionsAPI) behind(ctx context.Context) bool {
	status, err := h.predictions.Status(ctx)
	return err == nil && (status.Rebuilding || time.Since(status.UpdatedAt) > storeSilence)
}

// notFound is the answer to who asks for a prediction that lookUp did not find.
func notFound(c echo.Context, err error) error {
	switch {
	case errors.Is(err, bridge.ErrNotFound):
		return errUnknown
	case errors.Is(err, adminapi.ErrBusy):
		return unavailable(c, "The prediction store does not know it, and too many look for others among the events: try again.")
	case errors.Is(err, context.DeadlineExceeded):
		return echo.NewHTTPError(http.StatusNotFound, "The prediction store does not know it, and there are too many events to look at all of them: hookspan events list --prediction goes on looking.")
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

// await answers as soon as the prediction is not open any more, and at the end of the
// wait, or when the process stops, what is known by then.
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
				return unavailable(c, "Too many wait for predictions: try again.")
			case ctx.Err() == nil:
				return unavailable(c, "The prediction store cannot be read now: try again.")
			case errors.Is(context.Cause(ctx), errStopping): // another process may know it
				return h.lastLook(ctx, c, source, id, func(error) error {
					return unavailable(c, "The bridge is stopping: try again.")
				})
			case errors.Is(old.err, bridge.ErrNotFound): // and nothing has come since
				return errUnknown
			}
			return h.lastLook(ctx, c, source, id, func(err error) error { return notFound(c, err) })
		}
	}
}

// lastLook answers what is known when the wait is over, which can be too short to learn
// anything by waiting, and by unknown where nothing is.
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
	return unavailable(c, "The prediction store cannot be read now: try again.")
}

// looked is what was found out about a prediction.
type looked struct {
	state *bridge.PredictionState
	err   error
}

// lookBack looks for a prediction where it is not waited for, while its caller waits for
// it: not at once, since most are announced in a moment. The channel has what was found,
// at most once. Stop ends the search and returns when it has ended.
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
