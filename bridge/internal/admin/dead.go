package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// DeadLetters has the events that a consumer gave up on.
type DeadLetters interface {
	// Scan calls visit for every letter that it reads in order, until visit returns an
	// error, which it returns. It does not know the selection's limit.
	Scan(ctx context.Context, sel adminapi.DeadSelection, visit func(e adminapi.DeadEntry, selected bool) error) error
	// Get returns one letter. The error wraps bridge.ErrNotFound when it is gone.
	Get(ctx context.Context, seq uint64) (adminapi.DeadEntry, error)
	// Redrive gives the events to their consumers again and removes the letters.
	Redrive(ctx context.Context, sel adminapi.DeadSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport
	// Drop removes letters for good.
	Drop(ctx context.Context, sel adminapi.DeadSelection, dryRun bool) adminapi.RedeliveryReport
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
	call := adminapi.DeadCall{Consumer: c.QueryParam("consumer"), Cause: bridge.DeadCause(c.QueryParam("cause")), Prediction: c.QueryParam("prediction"), Page: p.Page}
	sel := deadSelection(&call)
	sel.Before, sel.Newest = p.Before, p.Newest
	list := adminapi.DeadLetterList{Letters: []adminapi.DeadLetter{}}
	until := time.Now().Add(longestList)
	err = h.dead.Scan(c.Request().Context(), sel, func(e adminapi.DeadEntry, selected bool) error {
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
	if errors.Is(err, bridge.ErrNotFound) {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such dead letter, or no longer.")
	}
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, adminapi.DeadLetterDetail{DeadLetter: newDeadLetter(&e), History: e.History, Header: e.Header, Content: newContent(e.Body)})
}

func (h deadAPI) redrive(c echo.Context) error {
	call, err := readDeadCall(c)
	if err != nil {
		return err
	}
	options, err := redeliveryOptions(call.RedeliveryCall)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, h.dead.Redrive(c.Request().Context(), deadSelection(&call), options))
}

func (h deadAPI) drop(c echo.Context) error {
	call, err := readDeadCall(c)
	switch {
	case err != nil:
		return err
	case call.Rate != 0 || call.Handled:
		return badRequest("rate and handled are for redrive")
	}
	return c.JSON(http.StatusOK, h.dead.Drop(c.Request().Context(), deadSelection(&call), call.DryRun))
}

func readDeadCall(c echo.Context) (call adminapi.DeadCall, err error) {
	if err := decodeCall(c, &call); err != nil {
		return call, err
	}
	if err := checkPage(&call.Page); err != nil {
		return call, err
	}
	if call.Consumer == "" && len(call.Seqs) == 0 {
		return call, badRequest("name a consumer, or letters by seqs")
	}
	return call, nil
}

func deadSelection(call *adminapi.DeadCall) adminapi.DeadSelection {
	return adminapi.DeadSelection{
		Consumer: call.Consumer, Cause: call.Cause, Prediction: call.Prediction,
		Sequences: call.Seqs, After: call.After, Limit: call.Limit,
	}
}

func newDeadLetter(e *adminapi.DeadEntry) adminapi.DeadLetter {
	out := adminapi.DeadLetter{
		Seq: e.Sequence, DiedAt: e.StoredAt, Consumer: e.Consumer, Cause: e.Cause, Fault: e.Fault, Error: e.Error,
		Attempts: e.Attempts, Redrives: e.Redrives, EventSeq: e.DeadLetter.Sequence, Problem: e.Problem,
	}
	if ev := e.Event; ev != nil {
		out.Event, out.Source, out.Prediction, out.Model, out.Status = ev.ID, ev.Source, ev.PredictionID, ev.Model, ev.Status
	}
	return out
}
