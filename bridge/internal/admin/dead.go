package admin

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// DeadLetters manages dead letters.
type DeadLetters interface {
	// Scan calls visit for every dead letter that it reads, in order, until visit returns
	// an error, which Scan returns. It ignores the selection's limit.
	Scan(ctx context.Context, sel adminapi.DeadSelection, visit func(e adminapi.DeadEntry, selected bool) error) error
	// Get returns one dead letter. The error wraps bridge.ErrNotFound when it is gone.
	Get(ctx context.Context, seq uint64) (adminapi.DeadEntry, error)
	// Redrive gives the events to their consumers again and removes the dead letters.
	Redrive(ctx context.Context, sel adminapi.DeadSelection, o adminapi.RedeliveryOptions) adminapi.RedeliveryReport
	// Drop removes dead letters for good.
	Drop(ctx context.Context, sel adminapi.DeadSelection, dryRun bool) adminapi.RedeliveryReport
}

// RegisterDeadLetters adds the routes about dead letters.
func RegisterDeadLetters(api *echo.Group, dead DeadLetters) {
	h := deadAPI{dead}
	api.GET("/dead", get(h.list))
	api.GET("/dead/:seq", get(h.show))
	api.POST("/dead/redrive", call(h.redrive))
	api.POST("/dead/drop", call(h.drop))
}

type deadAPI struct{ dead DeadLetters }

func (h deadAPI) list(c echo.Context) (list adminapi.DeadLetterList, err error) {
	p, err := queryListing(c)
	if err != nil {
		return list, err
	}
	sel := adminapi.DeadSelection{
		Consumer: c.QueryParam("consumer"), Cause: bridge.DeadCause(c.QueryParam("cause")), Prediction: c.QueryParam("prediction"),
		After: p.After, Before: p.Before, Newest: p.Newest, Limit: p.Limit,
	}
	list.Letters, list.Listed, err = collect(sel.Limit, func(add func(uint64, bool, adminapi.DeadLetter) error) error {
		return h.dead.Scan(c.Request().Context(), sel, func(e adminapi.DeadEntry, selected bool) error {
			return add(e.Sequence, selected, newDeadLetter(&e))
		})
	})
	return list, err
}

func (h deadAPI) show(c echo.Context) (detail adminapi.DeadLetterDetail, err error) {
	seq, err := querySeq(c)
	if err != nil {
		return detail, err
	}
	e, err := h.dead.Get(c.Request().Context(), seq)
	return adminapi.DeadLetterDetail{
		DeadLetter: newDeadLetter(&e), History: append([]bridge.FailedAttempt{}, e.History...), Header: newHeader(e.Header), Content: newContent(e.Body),
	}, missing(err, "dead letter")
}

func (h deadAPI) redrive(c echo.Context, call adminapi.DeadCall) (report adminapi.RedeliveryReport, err error) {
	sel, err := deadSelection(&call)
	if err != nil {
		return report, err
	}
	if err := checkRate(call.RedeliveryOptions); err != nil {
		return report, err
	}
	return h.dead.Redrive(c.Request().Context(), sel, call.RedeliveryOptions), nil
}

func (h deadAPI) drop(c echo.Context, call adminapi.DeadCall) (report adminapi.RedeliveryReport, err error) {
	sel, err := deadSelection(&call)
	switch {
	case err != nil:
		return report, err
	case call.Rate != 0 || call.Handled:
		return report, badRequest("rate and handled are for redrive")
	}
	return h.dead.Drop(c.Request().Context(), sel, call.DryRun), nil
}

func deadSelection(call *adminapi.DeadCall) (adminapi.DeadSelection, error) {
	if err := checkPage(&call.Page); err != nil {
		return adminapi.DeadSelection{}, err
	}
	if call.Consumer == "" && len(call.Seqs) == 0 {
		return adminapi.DeadSelection{}, badRequest("name a consumer, or dead letters by seqs")
	}
	return adminapi.DeadSelection{
		Consumer: call.Consumer, Cause: call.Cause, Prediction: call.Prediction,
		Sequences: call.Seqs, After: call.After, Limit: call.Limit,
	}, nil
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
