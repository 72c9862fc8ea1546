package admin

import (
	"context"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Predictions reads the states of predictions from the view.
type Predictions interface {
	// Prediction returns a state. The error wraps bridge.ErrNotFound when the view has none.
	Prediction(ctx context.Context, source, id string) (*bridge.PredictionState, error)
	// List returns a page of predictions. The error wraps adminapi.ErrCursor for a cursor that
	// is none.
	List(ctx context.Context, sel adminapi.PredictionSelection) (adminapi.PredictionList, error)
	// Timeline returns a page of what happened to a prediction. The errors are those of Find, it
	// wraps adminapi.ErrCursor for a cursor that is none, and adminapi.ErrNoAnswer when the
	// consumers cannot be asked now.
	Timeline(ctx context.Context, source, id, cursor string) (adminapi.Timeline, error)
	// Behind reports whether the view may lack ends that came minutes ago.
	Behind() bool
	// Find searches the stored events for a prediction that the view does not know, for at
	// most 10 s. The error wraps bridge.ErrNotFound when there is none, and adminapi.ErrBusy
	// or context.DeadlineExceeded when it could not search everything.
	Find(ctx context.Context, source, id string) (*bridge.PredictionState, error)
	// Life is how long the provider keeps outputs after the end; zero is for ever.
	Life(source string) time.Duration
}

// Waiting waits for predictions.
type Waiting interface {
	// Wait returns the state as soon as the prediction is not open any more. When ctx ends
	// first, it returns the current state, nil for none, and ctx's error. The error wraps
	// adminapi.ErrBusy when too many wait.
	Wait(ctx context.Context, source, id string) (*bridge.PredictionState, error)
	// Follow calls each with the first known state and with each change, until the
	// prediction is not open any more, each returns an error, which Follow returns, or ctx
	// ends.
	Follow(ctx context.Context, source, id string, each func(bridge.PredictionUpdate) error) error
}

// Announcer makes announcements of predictions durable.
type Announcer interface {
	// Announce also returns the id of the event. The error wraps adminapi.ErrNoSource or an
	// error of the publisher.
	Announce(ctx context.Context, w bridge.Watch) (bridge.Receipt, string, error)
}

// RegisterPredictions adds the routes about predictions.
func RegisterPredictions(api *echo.Group, p Predictions, w Waiting, a Announcer) {
	h := predictionsAPI{p, w, a}
	api.GET("/predictions", get(h.list))
	api.GET("/predictions/:source/:id", h.show)
	api.GET("/predictions/:source/:id/events", h.follow)
	api.GET("/predictions/:source/:id/timeline", h.timeline)
	api.PUT("/predictions/:source/:id", get(h.watch))
}

var errCursor = badRequest("cursor is the next of the page before")

type predictionsAPI struct {
	predictions Predictions
	waiting     Waiting
	announcer   Announcer
}

func (h predictionsAPI) list(c echo.Context) (list adminapi.PredictionList, err error) {
	p, err := queryListing(c)
	if err != nil {
		return list, err
	}
	sel := adminapi.PredictionSelection{
		Source: c.QueryParam("source"), Status: c.QueryParam("status"), Model: c.QueryParam("model"),
		Reference: c.QueryParam("reference"), Tenant: c.QueryParam("tenant"), Cursor: c.QueryParam("cursor"), Limit: p.Limit,
	}
	if sel.Source != "" {
		if err := bridge.CheckName("source", sel.Source); err != nil {
			return list, badRequest("%v", err)
		}
	}
	if sel.Since, err = queryTime(c, "since"); err != nil {
		return list, err
	}
	if sel.Until, err = queryTime(c, "until"); err != nil {
		return list, err
	}
	switch c.QueryParam("open") {
	case "", "false":
	case "true":
		sel.Open = true
	default:
		return list, badRequest("open is true or false")
	}
	if sel, err = searched(sel, c.QueryParam("q")); err != nil {
		return list, err
	}
	list, err = h.predictions.List(c.Request().Context(), sel)
	return list, listed(err)
}

func (h predictionsAPI) watch(c echo.Context) (bridge.Watched, error) {
	source, id, err := predictionOf(c)
	if err != nil {
		return bridge.Watched{}, err
	}
	var call bridge.WatchRequest
	if err := decodeCall(c, &call); err != nil {
		return bridge.Watched{}, err
	}
	if call.Prediction != "" && call.Prediction != id {
		return bridge.Watched{}, badRequest("prediction is another one than that of the path: leave it out")
	}
	call.Prediction = id
	w := call.Watch(source)
	if err := w.Check(time.Now()); err != nil {
		return bridge.Watched{}, badRequest("%v", err)
	}
	receipt, event, err := h.announcer.Announce(c.Request().Context(), w)
	if err != nil {
		return bridge.Watched{}, stored(c, err)
	}
	changes(c, 1)
	return bridge.Watched{Result: receipt.Result, ID: event}, nil
}

func predictionOf(c echo.Context) (source, id string, err error) {
	source, id = c.Param("source"), c.Param("id")
	// With a RawPath Echo matches the path as it was sent, so the parameters are still
	// encoded.
	if c.Request().URL.RawPath != "" {
		var bad error
		if source, bad = url.PathUnescape(source); bad == nil {
			id, bad = url.PathUnescape(id)
		}
		if bad != nil {
			return "", "", badRequest("the path is not percent-encoded")
		}
	}
	if err := bridge.CheckName("source", source); err != nil {
		return "", "", badRequest("%v", err)
	}
	if err := bridge.CheckPredictionID(id); err != nil {
		return "", "", badRequest("%v", err)
	}
	if !utf8.ValidString(id) {
		return "", "", badRequest("the prediction id is not UTF-8")
	}
	return source, id, nil
}
