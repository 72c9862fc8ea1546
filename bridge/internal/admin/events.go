package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Events has the stored events.
type Events interface {
	// Scan calls visit for every event that it reads in order, until visit returns an
	// error, which it returns. It does not know the selection's limit.
	Scan(ctx context.Context, sel adminapi.EventSelection, visit func(e adminapi.EventEntry, selected bool) error) error
	// Get returns one event. The error wraps bridge.ErrNotFound when it is gone.
	Get(ctx context.Context, seq uint64) (adminapi.EventEntry, error)
	// Replay gives events to one consumer again, each once for one run.
	Replay(ctx context.Context, consumer, run string, sel adminapi.EventSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport
}

func redeliveryOptions(r adminapi.RedeliveryCall) (adminapi.RedeliveryOptions, error) {
	if !(r.Rate == 0 || r.Rate >= minAPIRate && r.Rate <= maxAPIRate) {
		return adminapi.RedeliveryOptions{}, badRequest("rate is %v to %.0f events a second, or 0", minAPIRate, maxAPIRate)
	}
	return adminapi.RedeliveryOptions{DryRun: r.DryRun, Rate: r.Rate, Handled: r.Handled}, nil
}

// RegisterEvents adds the routes about stored events.
func RegisterEvents(api *echo.Group, events Events) {
	h := eventsAPI{events}
	api.GET("/events", h.list)
	api.GET("/events/:seq", h.show)
	api.POST("/events/replay", h.replay)
}

type eventsAPI struct{ events Events }

// errPage ends a walk whose page is full.
var errPage = errors.New("the page is full")

func (h eventsAPI) list(c echo.Context) error {
	p, err := queryListing(c)
	if err != nil {
		return err
	}
	call := adminapi.EventCall{Event: c.QueryParam("event"), Model: c.QueryParam("model"), Prediction: c.QueryParam("prediction"), Page: p.Page}
	if source := c.QueryParam("source"); source != "" {
		call.Sources = []string{source}
	}
	if status := c.QueryParam("status"); status != "" {
		call.Statuses = []string{status}
	}
	for name, into := range map[string]*time.Time{"since": &call.Since, "until": &call.Until} {
		if *into, err = queryTime(c, name); err != nil {
			return err
		}
	}
	sel, err := eventSelection(&call)
	if err != nil {
		return err
	}
	sel.Before, sel.Newest = p.Before, p.Newest
	list := adminapi.EventList{Events: []adminapi.Event{}}
	until := time.Now().Add(longestList)
	err = h.events.Scan(c.Request().Context(), sel, func(e adminapi.EventEntry, selected bool) error {
		if selected && len(list.Events) == sel.Limit || time.Now().After(until) {
			list.More = true
			return errPage
		}
		if selected {
			list.Events = append(list.Events, newEvent(&e))
		}
		list.Last = e.Sequence
		return nil
	})
	if err != nil && !errors.Is(err, errPage) {
		return err
	}
	return c.JSON(http.StatusOK, list)
}

func (h eventsAPI) show(c echo.Context) error {
	seq, err := querySeq(c)
	if err != nil {
		return err
	}
	e, err := h.events.Get(c.Request().Context(), seq)
	if errors.Is(err, bridge.ErrNotFound) {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such event, or no longer.")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, adminapi.EventDetail{Event: newEvent(&e), Subject: e.Subject, Problem: e.Problem, Header: e.Header, Content: newContent(e.Body)})
}

func (h eventsAPI) replay(c echo.Context) error {
	var call adminapi.EventCall
	if err := decodeCall(c, &call); err != nil {
		return err
	}
	sel, err := eventSelection(&call)
	if err != nil {
		return err
	}
	options, err := redeliveryOptions(call.RedeliveryCall)
	switch {
	case err != nil:
		return err
	case call.Consumer == "":
		return badRequest("consumer is the one that is given the events")
	case len(call.Run) > maxRun:
		return badRequest("run has at most %d bytes", maxRun)
	case call.Run == "":
		call.Run = rand.Text()
	}
	return c.JSON(http.StatusOK, h.events.Replay(c.Request().Context(), call.Consumer, call.Run, sel, options))
}

const maxRun = 64

// selection checks what came from outside.
func eventSelection(call *adminapi.EventCall) (adminapi.EventSelection, error) {
	if err := checkPage(&call.Page); err != nil {
		return adminapi.EventSelection{}, err
	}
	filter := bridge.Filter{Event: call.Event, Sources: call.Sources, Statuses: call.Statuses, Model: call.Model}
	if err := filter.Validate(); err != nil {
		return adminapi.EventSelection{}, badRequest("%v", err)
	}
	if len(call.Prediction) > bridge.MaxPredictionID {
		return adminapi.EventSelection{}, badRequest("prediction has at most %d bytes", bridge.MaxPredictionID)
	}
	return adminapi.EventSelection{
		Filter: filter, Prediction: call.Prediction, Since: call.Since, Until: call.Until,
		Sequences: call.Seqs, After: call.After, Limit: call.Limit,
	}, nil
}

func newEvent(e *adminapi.EventEntry) adminapi.Event {
	out := adminapi.Event{Seq: e.Sequence, StoredAt: e.StoredAt, BodyBytes: len(e.Body)}
	if ev := e.Event; ev != nil {
		out.ID, out.Type, out.Source, out.Prediction = ev.ID, ev.Type, ev.Source, ev.PredictionID
		out.Model, out.Status, out.ReceivedAt = ev.Model, ev.Status, ev.ReceivedAt
	}
	return out
}
