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
	// ListEvents returns a page, the newest first. The error wraps adminapi.ErrCursor for a
	// cursor that is none.
	ListEvents(ctx context.Context, sel adminapi.EventSelection) (adminapi.EventList, error)
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
	call := adminapi.EventCall{Prediction: c.QueryParam("prediction"), Page: adminapi.Page{Limit: p.Limit}, FilterCall: queryFilter(c)}
	for name, into := range map[string]*time.Time{"since": &call.Since, "until": &call.Until} {
		if *into, err = queryTime(c, name); err != nil {
			return list, err
		}
	}
	sel, err := eventSelection(&call)
	if err != nil {
		return list, err
	}
	sel.Cursor = p.Cursor
	list, err = h.events.ListEvents(c.Request().Context(), sel)
	return list, listed(err)
}

// queryFilter reads event, source, status and model of a query.
func queryFilter(c echo.Context) adminapi.FilterCall {
	f := adminapi.FilterCall{Event: c.QueryParam("event"), Model: c.QueryParam("model")}
	if source := c.QueryParam("source"); source != "" {
		f.Sources = []string{source}
	}
	if status := c.QueryParam("status"); status != "" {
		f.Statuses = []string{status}
	}
	return f
}

func (h eventsAPI) show(c echo.Context) (detail adminapi.EventDetail, err error) {
	seq, err := querySeq(c)
	if err != nil {
		return detail, err
	}
	e, err := h.events.Get(c.Request().Context(), seq)
	detail = adminapi.EventDetail{Event: adminapi.NewEvent(&e), Subject: e.Subject, Problem: e.Problem, Header: newHeader(e.Header), Content: newContent(e.Body)}
	if e.Event != nil {
		detail.Type = e.Event.Type
	}
	return detail, missing(err, "event")
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
		return report, errNoReader
	case len(call.Run) > maxRun:
		return report, errLongRun
	case call.Run == "":
		call.Run = rand.Text()
	}
	report = h.events.Replay(c.Request().Context(), call.Consumer, call.Run, sel, call.RedeliveryOptions)
	changes(c, report.Given)
	return report, report.Nothing()
}

const maxRun = 64

var (
	errNoReader = badRequest("consumer is the one that is given the events")
	errLongRun  = badRequest("run has at most %d bytes", maxRun)
)

func eventSelection(call *adminapi.EventCall) (adminapi.EventSelection, error) {
	if err := checkPage(&call.Page); err != nil {
		return adminapi.EventSelection{}, err
	}
	if err := call.Filter().Validate(); err != nil {
		return adminapi.EventSelection{}, badRequest("%v", err)
	}
	if len(call.Prediction) > bridge.MaxPredictionID {
		return adminapi.EventSelection{}, badRequest("prediction has at most %d bytes", bridge.MaxPredictionID)
	}
	return call.Selection(), nil
}
