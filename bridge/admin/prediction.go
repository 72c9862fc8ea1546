package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
)

const (
	// maxWait is how long one request waits at most. Who wants more asks again.
	maxWait = 5 * time.Minute
	// lookBackAfter is for how long one that is not known is only waited for.
	lookBackAfter = time.Second
	// lastLook bounds the look at ledger and events at the end of a wait.
	lastLook = time.Second
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
	ctx := c.Request().Context()
	s, err := h.predictions.Get(ctx, source, id)
	if errors.Is(err, bridge.ErrNoEntry) {
		s, err = h.predictions.Find(ctx, source, id)
	}
	switch {
	case errors.Is(err, bridge.ErrNoEntry):
		return errUnknown
	case errors.Is(err, bridge.ErrBusy):
		return unavailable(c, "The ledger does not know it, and too many look for others among the events: try again.")
	case errors.Is(err, context.DeadlineExceeded):
		return echo.NewHTTPError(http.StatusNotFound, "The ledger does not know it, and there are too many events to look at all of them: hookspan events list --prediction goes on looking.")
	case err != nil:
		return err
	}
	return h.answer(c, s)
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
	type known struct {
		s   *bridge.PredictionState
		err error
	}
	waited := make(chan known, 1)
	go func() {
		s, err := h.waiting.Wait(ctx, source, id)
		waited <- known{s, err}
	}()
	var old *bridge.PredictionState
	for {
		select {
		case old = <-past:
			past = nil
			if old != nil && !old.Open() {
				cancel()
				<-waited
				return h.answer(c, old)
			}
		case w := <-waited:
			s := cmp.Or(w.s, old)
			switch {
			case errors.Is(w.err, bridge.ErrBusy):
				return unavailable(c, "Too many wait for predictions: try again.")
			case w.err != nil && s == nil && ctx.Err() == nil:
				return unavailable(c, "The ledger cannot be read now: try again.")
			}
			return h.endWait(ctx, c, source, id, s)
		}
	}
}

// endWait answers what is known when the wait is over, which can be too short to learn
// anything by waiting.
func (h predictionsAPI) endWait(ctx context.Context, c echo.Context, source, id string, s *bridge.PredictionState) error {
	if s == nil {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
		defer cancel()
		var err error
		s, err = h.predictions.Get(last, source, id)
		if errors.Is(err, bridge.ErrNoEntry) {
			if s, err = h.predictions.Find(last, source, id); err != nil && !errors.Is(context.Cause(ctx), errStopping) {
				return errUnknown
			}
		}
		if err != nil {
			return unavailable(c, "The ledger cannot be read now: try again.")
		}
	}
	return h.answer(c, s)
}

// lookBack looks for a prediction that the ledger does not know among the events, while
// its caller waits for it: not at once, since most are announced in a moment. The channel has what was found, at most once. Stop ends the
// search and returns when it has ended.
func (h predictionsAPI) lookBack(ctx context.Context, source, id string) (found <-chan *bridge.PredictionState, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	out, ended := make(chan *bridge.PredictionState, 1), make(chan struct{})
	go func() {
		defer close(ended)
		moment := time.NewTimer(lookBackAfter)
		defer moment.Stop()
		select {
		case <-ctx.Done():
			return
		case <-moment.C:
		}
		if _, err := h.predictions.Get(ctx, source, id); !errors.Is(err, bridge.ErrNoEntry) {
			return
		}
		if s, err := h.predictions.Find(ctx, source, id); err == nil {
			out <- s
		}
	}()
	return out, func() { cancel(); <-ended }
}
