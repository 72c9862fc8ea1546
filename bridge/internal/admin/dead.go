package admin

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// DeadLetters manages dead letters.
type DeadLetters interface {
	// ListDead returns a page, the newest first. The error wraps adminapi.ErrCursor for a
	// cursor that is none.
	ListDead(ctx context.Context, sel adminapi.DeadSelection) (adminapi.DeadLetterList, error)
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
	list, err = h.dead.ListDead(c.Request().Context(), adminapi.DeadSelection{
		Consumer: c.QueryParam("consumer"), Cause: bridge.DeadCause(c.QueryParam("cause")), Prediction: c.QueryParam("prediction"), Group: c.QueryParam("group"),
		Cursor: p.Cursor, Limit: p.Limit,
	})
	return list, listed(err)
}

func (h deadAPI) show(c echo.Context) (detail adminapi.DeadLetterDetail, err error) {
	seq, err := querySeq(c)
	if err != nil {
		return detail, err
	}
	e, err := h.dead.Get(c.Request().Context(), seq)
	return adminapi.DeadLetterDetail{
		DeadLetter: adminapi.NewDeadLetter(&e), History: append([]bridge.FailedAttempt{}, e.History...), Header: newHeader(e.Header), Content: newContent(e.Body),
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
	report = h.dead.Redrive(c.Request().Context(), sel, call.RedeliveryOptions)
	changes(c, report.Given)
	return report, report.Nothing()
}

func (h deadAPI) drop(c echo.Context, call adminapi.DeadCall) (report adminapi.RedeliveryReport, err error) {
	sel, err := deadSelection(&call)
	switch {
	case err != nil:
		return report, err
	case call.Rate != 0 || call.Handled:
		return report, badRequest("rate and handled are for redrive")
	}
	report = h.dead.Drop(c.Request().Context(), sel, call.DryRun)
	changes(c, report.Dropped)
	return report, report.Nothing()
}

func deadSelection(call *adminapi.DeadCall) (adminapi.DeadSelection, error) {
	if err := checkPage(&call.Page); err != nil {
		return adminapi.DeadSelection{}, err
	}
	if call.Consumer == "" && call.Group == "" && len(call.Seqs) == 0 {
		return adminapi.DeadSelection{}, badRequest("name a consumer, a group, or dead letters by seqs")
	}
	return call.Selection(), nil
}
