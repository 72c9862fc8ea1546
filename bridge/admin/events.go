package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
)

// Events has the stored events.
type Events interface {
	// Scan calls visit for every event that it reads in order, until visit returns an
	// error, which it returns. It does not know the selection's limit.
	Scan(ctx context.Context, sel bridge.EventSelection, visit func(e bridge.EventEntry, selected bool) error) error
	// Get returns one event. The error wraps bridge.ErrNoEntry when it is gone.
	Get(ctx context.Context, seq uint64) (bridge.EventEntry, error)
	// Replay gives events to one consumer again, each once for one run.
	Replay(ctx context.Context, consumer, run string, sel bridge.EventSelection, o bridge.RedeliveryOptions) bridge.RedeliveryReport
}

// Event is an event as the API shows it.
type Event struct {
	Seq        uint64    `json:"seq"`
	StoredAt   time.Time `json:"stored_at"`
	ID         string    `json:"id"`
	Type       string    `json:"type"`
	Source     string    `json:"source"`
	Prediction string    `json:"prediction"`
	Model      string    `json:"model,omitempty"`
	Status     string    `json:"status"`
	ReceivedAt time.Time `json:"received_at,omitzero"`
	BodyBytes  int       `json:"body_bytes"`
}

// EventDetail is a whole event. Problem is set when the message is none.
type EventDetail struct {
	Event
	Subject string        `json:"subject"`
	Problem string        `json:"problem,omitempty"`
	Header  bridge.Header `json:"header"`
	Content
}

// EventList is a page of events.
type EventList struct {
	Events []Event `json:"events"`
	listed
}

// EventCall says which events are meant, and who is given them again.
type EventCall struct {
	Consumer string `json:"consumer"`
	// Run tells this replay from any other: within two hours an event is given once
	// for one run, so a call that is repeated gives nothing twice. Without it every
	// call is another one.
	Run string `json:"run,omitempty"`
	// Event is the kind of the events: prediction unless it is given, or that which
	// the consumer is configured to read.
	Event      string    `json:"event,omitempty"`
	Sources    []string  `json:"sources,omitempty"`
	Statuses   []string  `json:"statuses,omitempty"`
	Model      string    `json:"model,omitempty"`
	Prediction string    `json:"prediction,omitempty"`
	Since      time.Time `json:"since,omitzero"`
	Until      time.Time `json:"until,omitzero"`
	Page
	RedeliveryCall
}

// RedeliveryCall is how events are given again.
type RedeliveryCall struct {
	// Rate bounds how many events a second are given, 0.1 to 1000000; 0 is no bound.
	Rate float64 `json:"rate,omitempty"`
	// Handled gives again what the consumer is known to have handled, too.
	Handled bool `json:"handled,omitempty"`
	DryRun  bool `json:"dry_run,omitempty"`
}

func (r RedeliveryCall) options() (bridge.RedeliveryOptions, error) {
	if !(r.Rate == 0 || r.Rate >= minAPIRate && r.Rate <= maxAPIRate) {
		return bridge.RedeliveryOptions{}, badRequest("rate is %v to %.0f events a second, or 0", minAPIRate, maxAPIRate)
	}
	return bridge.RedeliveryOptions{DryRun: r.DryRun, Rate: r.Rate, Handled: r.Handled}, nil
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
	call := EventCall{Event: c.QueryParam("event"), Model: c.QueryParam("model"), Prediction: c.QueryParam("prediction"), Page: p.Page}
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
	sel, err := call.selection()
	if err != nil {
		return err
	}
	sel.Before, sel.Newest = p.Before, p.Newest
	list := EventList{Events: []Event{}}
	until := time.Now().Add(longestList)
	err = h.events.Scan(c.Request().Context(), sel, func(e bridge.EventEntry, selected bool) error {
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
	if errors.Is(err, bridge.ErrNoEntry) {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such event, or no longer.")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, EventDetail{Event: newEvent(&e), Subject: e.Subject, Problem: e.Problem, Header: e.Header, Content: newContent(e.Body)})
}

func (h eventsAPI) replay(c echo.Context) error {
	var call EventCall
	if err := decodeCall(c, &call); err != nil {
		return err
	}
	sel, err := call.selection()
	if err != nil {
		return err
	}
	options, err := call.options()
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
func (call *EventCall) selection() (bridge.EventSelection, error) {
	if err := call.check(); err != nil {
		return bridge.EventSelection{}, err
	}
	filter := bridge.Filter{Event: call.Event, Sources: call.Sources, Statuses: call.Statuses, Model: call.Model}
	if err := filter.Validate(); err != nil {
		return bridge.EventSelection{}, badRequest("%v", err)
	}
	if len(call.Prediction) > bridge.MaxPredictionID {
		return bridge.EventSelection{}, badRequest("prediction has at most %d bytes", bridge.MaxPredictionID)
	}
	return bridge.EventSelection{
		Filter: filter, Prediction: call.Prediction, Since: call.Since, Until: call.Until,
		Sequences: call.Seqs, After: call.After, Limit: call.Limit,
	}, nil
}

func newEvent(e *bridge.EventEntry) Event {
	out := Event{Seq: e.Sequence, StoredAt: e.StoredAt, BodyBytes: len(e.Body)}
	if ev := e.Event; ev != nil {
		out.ID, out.Type, out.Source, out.Prediction = ev.ID, ev.Type, ev.Source, ev.PredictionID
		out.Model, out.Status, out.ReceivedAt = ev.Model, ev.Status, ev.ReceivedAt
	}
	return out
}
