package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
)

// DeadLetters has the events that a consumer gave up on.
type DeadLetters interface {
	// Scan calls visit for every letter that it reads in order, until visit returns an
	// error, which it returns. It does not know the selection's limit.
	Scan(ctx context.Context, sel bridge.DeadSelection, visit func(e bridge.DeadEntry, selected bool) error) error
	// Get returns one letter. The error wraps bridge.ErrNoEntry when it is gone.
	Get(ctx context.Context, seq uint64) (bridge.DeadEntry, error)
	// Redrive gives the events to their consumers again and removes the letters.
	Redrive(ctx context.Context, sel bridge.DeadSelection, o bridge.RedeliveryOptions) bridge.RedeliveryReport
	// Drop removes letters for good.
	Drop(ctx context.Context, sel bridge.DeadSelection, dryRun bool) bridge.RedeliveryReport
}

// DeadLetter is a dead letter as the API shows it.
type DeadLetter struct {
	Seq      uint64           `json:"seq"`
	DiedAt   time.Time        `json:"died_at"`
	Consumer string           `json:"consumer"`
	Cause    bridge.DeadCause `json:"cause"`
	Fault    bridge.Fault     `json:"fault"`
	Error    string           `json:"error,omitempty"`
	Attempts int              `json:"attempts"`
	Redrives int              `json:"redrives,omitempty"`
	// EventSeq is the sequence of the event in the stream of events.
	EventSeq uint64 `json:"event_seq,omitempty"`
	// Event is empty when the letter holds none; Problem says why when it should.
	Event      string `json:"event,omitempty"`
	Source     string `json:"source,omitempty"`
	Prediction string `json:"prediction,omitempty"`
	Model      string `json:"model,omitempty"`
	Status     string `json:"status,omitempty"`
	Problem    string `json:"problem,omitempty"`
}

// DeadLetterDetail is a whole dead letter.
type DeadLetterDetail struct {
	DeadLetter
	History []bridge.FailedAttempt `json:"history"`
	Header  bridge.Header          `json:"header"`
	Content
}

// DeadLetterList is a page of dead letters.
type DeadLetterList struct {
	Letters []DeadLetter `json:"letters"`
	listed
}

// DeadCall says which dead letters are meant and what is to be done. It names a
// consumer or sequences.
type DeadCall struct {
	Consumer   string           `json:"consumer,omitempty"`
	Cause      bridge.DeadCause `json:"cause,omitempty"`
	Prediction string           `json:"prediction,omitempty"`
	Page
	RedeliveryCall
}

// RegisterDeadLetters adds the routes about dead letters.
func RegisterDeadLetters(api *echo.Group, dead DeadLetters) {
	h := deadAPI{dead}
	api.GET("/dead", h.list)
	api.GET("/dead/:seq", h.show)
	api.POST("/dead/redrive", h.redrive)
	api.POST("/dead/drop", h.drop)
}

type deadAPI struct{ dead DeadLetters }

func (h deadAPI) list(c echo.Context) error {
	p, err := queryListing(c)
	if err != nil {
		return err
	}
	call := DeadCall{Consumer: c.QueryParam("consumer"), Cause: bridge.DeadCause(c.QueryParam("cause")), Prediction: c.QueryParam("prediction"), Page: p.Page}
	sel := call.selection()
	sel.Before, sel.Newest = p.Before, p.Newest
	list := DeadLetterList{Letters: []DeadLetter{}}
	until := time.Now().Add(longestList)
	err = h.dead.Scan(c.Request().Context(), sel, func(e bridge.DeadEntry, selected bool) error {
		if selected && len(list.Letters) == sel.Limit || time.Now().After(until) {
			list.More = true
			return errPage
		}
		if selected {
			list.Letters = append(list.Letters, newDeadLetter(&e))
		}
		list.Last = e.Sequence
		return nil
	})
	if err != nil && !errors.Is(err, errPage) {
		return err
	}
	return c.JSON(http.StatusOK, list)
}

func (h deadAPI) show(c echo.Context) error {
	seq, err := querySeq(c)
	if err != nil {
		return err
	}
	e, err := h.dead.Get(c.Request().Context(), seq)
	if errors.Is(err, bridge.ErrNoEntry) {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such dead letter, or no longer.")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, DeadLetterDetail{DeadLetter: newDeadLetter(&e), History: e.History, Header: e.Header, Content: newContent(e.Body)})
}

func (h deadAPI) redrive(c echo.Context) error {
	call, err := readDeadCall(c)
	if err != nil {
		return err
	}
	options, err := call.options()
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, h.dead.Redrive(c.Request().Context(), call.selection(), options))
}

func (h deadAPI) drop(c echo.Context) error {
	call, err := readDeadCall(c)
	switch {
	case err != nil:
		return err
	case call.Rate != 0 || call.Handled:
		return badRequest("rate and handled are for redrive")
	}
	return c.JSON(http.StatusOK, h.dead.Drop(c.Request().Context(), call.selection(), call.DryRun))
}

func readDeadCall(c echo.Context) (call DeadCall, err error) {
	if err := decodeCall(c, &call); err != nil {
		return call, err
	}
	if err := call.check(); err != nil {
		return call, err
	}
	if call.Consumer == "" && len(call.Seqs) == 0 {
		return call, badRequest("name a consumer, or letters by seqs")
	}
	return call, nil
}

func (call *DeadCall) selection() bridge.DeadSelection {
	return bridge.DeadSelection{
		Consumer: call.Consumer, Cause: call.Cause, Prediction: call.Prediction,
		Sequences: call.Seqs, After: call.After, Limit: call.Limit,
	}
}

func newDeadLetter(e *bridge.DeadEntry) DeadLetter {
	out := DeadLetter{
		Seq: e.Sequence, DiedAt: e.StoredAt, Consumer: e.Consumer, Cause: e.Cause, Fault: e.Fault, Error: e.Error,
		Attempts: e.Attempts, Redrives: e.Redrives, EventSeq: e.DeadLetter.Sequence, Problem: e.Problem,
	}
	if ev := e.Event; ev != nil {
		out.Event, out.Source, out.Prediction, out.Model, out.Status = ev.ID, ev.Source, ev.PredictionID, ev.Model, ev.Status
	}
	return out
}
