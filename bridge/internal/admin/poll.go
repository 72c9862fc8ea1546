package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Poller polls providers when somebody wants to know now.
type Poller interface {
	// Poll asks the provider of a source for a prediction, and stores its end if it has one.
	// State is what is known of it, nil for nothing. The error wraps adminapi.ErrNoSource, is a
	// *adminapi.Refusal, or that of a publisher.
	Poll(ctx context.Context, source, id string, state *bridge.PredictionState) (adminapi.Polled, error)
}

// RegisterPoll adds the route that polls for a prediction.
func RegisterPoll(api *echo.Group, p Predictions, poller Poller) {
	known := predictionsAPI{predictions: p}
	api.POST("/poll", call(func(c echo.Context, call adminapi.PollCall) (polled adminapi.Polled, err error) {
		if err := errors.Join(bridge.CheckName("source", call.Source), bridge.CheckPredictionID(call.Prediction)); err != nil {
			return polled, badRequest("%v", err)
		}
		if !utf8.ValidString(call.Prediction) {
			return polled, badRequest("the prediction id is not UTF-8")
		}
		ctx := c.Request().Context()
		state, err := known.lookUp(ctx, call.Source, call.Prediction)
		switch {
		case errors.Is(err, bridge.ErrNotFound):
			state = nil
		case err != nil:
			return polled, notFound(err)
		case state.Terminal():
			return polled, echo.NewHTTPError(http.StatusConflict, "The prediction has ended already: there is nothing to ask for.")
		}
		polled, err = poller.Poll(ctx, call.Source, call.Prediction, state)
		if err == nil && polled.Result == adminapi.PollEnded {
			changes(c, 1)
		}
		return polled, stored(c, err)
	}))
}

// stored returns the answer to what could not be done or stored.
func stored(c echo.Context, err error) error {
	refusal, refused := errors.AsType[*adminapi.Refusal](err)
	switch {
	case refused:
		if after := refusal.RetryAfter; after > 0 {
			c.Response().Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
		}
		return echo.NewHTTPError(refusal.Status, refusal.Detail).SetInternal(err)
	case errors.Is(err, adminapi.ErrNoSource):
		return errNoSource
	case errors.Is(err, bridge.ErrTooLarge):
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, "It is too large for the store.")
	case errors.Is(err, bridge.ErrFull), errors.Is(err, bridge.ErrUnavailable), errors.Is(err, bridge.ErrUnknown):
		return unavailable("It cannot be stored now: try again.")
	}
	return err
}

var errNoSource = echo.NewHTTPError(http.StatusNotFound, "There is no such source: hookspan config show names those of the configuration.")
