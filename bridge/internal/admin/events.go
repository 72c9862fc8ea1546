package admin

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Events reads and replays stored events.
type Events interface {
	// Scan calls visit for every event that it reads, in order, until visit returns an
	// error, which Scan returns. It ignores the selection's limit.
	Scan(ctx context.Context, sel adminapi.EventSelection, visit func(e adminapi.EventEntry, selected bool) error) error
	// Get returns one event. The error wraps bridge.ErrNotFound when it is gone.
	Get(ctx context.Context, seq uint64) (adminapi.EventEntry, error)
	// Replay gives events to one consumer again, each once per run.
	Replay(ctx context.Context, consumer, run string, sel adminapi.EventSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport
}

func checkRate(o adminapi.RedeliveryOptions) error {
	if !(o.Rate == 0 || o.Rate >= minAPIRate && o.Rate <= maxAPIRate) {
		return badRequest("rate is %v to %.0f events a second, or 0", minAPIRate, maxAPIRate)
	}
	return nil
}

// RegisterEvents adds the routes about stored events.
func RegisterEvents(api *echo.Group, events Events) {
	h := eventsAPI{events}
	api.GET("/events", get(h.list))
	api.GET("/events/:seq", get(h.show))
	api.POST("/events/replay", call(h.replay))
}

type eventsAPI struct{ events Events }

func (h eventsAPI) list(c echo.Context) (list adminapi.EventList, err error) {
	p, err := queryListing(c)
	if err != nil {
		return list, err
	}
	call := adminapi.EventCall{Prediction: c.QueryParam("prediction"), Page: p.Page}
	call.Event, call.Model = c.QueryParam("event"), c.QueryParam("model")
	if source := c.QueryParam("source"); source != "" {
		call.Sources = []string{source}
	}
	if status := c.QueryParam("status"); status != "" {
		call.Statuses = []string{status}
	}
	for name, into := range map[string]*time.Time{"since": &call.Since, "until": &call.Until} {
		if *into, err = queryTime(c, name); err != nil {
			return list, err
		}
	}
	sel, err := eventSelection(&call)
	if err != nil {
		return list, err
	}
	sel.Before, sel.Newest = p.Before, p.Newest
	list.Events, list.Listed, err = collect(sel.Limit, func(add func(uint64, bool, adminapi.Event) error) error {
		return h.events.Scan(c.Request().Context(), sel, func(e adminapi.EventEntry, selected bool) error {
			return add(e.Sequence, selected, newEvent(&e))
		})
	})
	return list, err
}

func (h eventsAPI) show(c echo.Context) (detail adminapi.EventDetail, err error) {
	seq, err := querySeq(c)
	if err != nil {
		return detail, err
	}
	e, err := h.events.Get(c.Request().Context(), seq)
	return adminapi.EventDetail{Event: newEvent(&e), Subject: e.Subject, Problem: e.Problem, Header: newHeader(e.Header), Content: newContent(e.Body)}, missing(err, "event")
}

func (h eventsAPI) replay(c echo.Context, call adminapi.EventCall) (report adminapi.RedeliveryReport, err error) {
	sel, err := eventSelection(&call)
	if err != nil {
		return report, err
	}
	switch err := checkRate(call.RedeliveryOptions); {
	case err != nil:
		return report, err
	case call.Consumer == "":
		return report, badRequest("consumer is the one that is given the events")
	case len(call.Run) > maxRun:
		return report, badRequest("run has at most %d bytes", maxRun)
	case call.Run == "":
		call.Run = rand.Text()
	}
	return h.events.Replay(c.Request().Context(), call.Consumer, call.Run, sel, call.RedeliveryOptions), nil
}

const maxRun = 64

func eventSelection(call *adminapi.EventCall) (adminapi.EventSelection, error) {
	if err := checkPage(&call.Page); err != nil {
		return adminapi.EventSelection{}, err
	}
	filter := call.Filter()
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
