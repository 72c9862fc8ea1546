package admin

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Quarantine manages the deliveries that did not become an event.
type Quarantine interface {
	// ListKept returns a page, the newest first. The error wraps adminapi.ErrCursor for a
	// cursor that is none.
	ListKept(ctx context.Context, sel adminapi.KeptSelection) (adminapi.KeptList, error)
	// Causes counts the entries by place, source and cause.
	Causes(ctx context.Context) (adminapi.KeptCauses, error)
	// Get returns one entry. The error wraps bridge.ErrNotFound when it is gone.
	Get(ctx context.Context, place string, seq uint64) (adminapi.KeptEntry, error)
	// Reverify makes events of entries that are authentic and usable now.
	Reverify(ctx context.Context, sel adminapi.KeptSelection, o adminapi.ReverifyOptions) adminapi.KeptReport
	// Accept makes events of quarantined entries that have only one reading.
	Accept(ctx context.Context, sel adminapi.KeptSelection, o adminapi.AcceptOptions) adminapi.KeptReport
	// Drop removes entries for good.
	Drop(ctx context.Context, sel adminapi.KeptSelection, dryRun bool) adminapi.KeptReport
}

func keptSelection(c *adminapi.KeptCall) (adminapi.KeptSelection, error) {
	err := checkPage(&c.Page)
	switch {
	case err != nil:
	case c.Stream != "" && c.Stream != adminapi.PlaceQuarantine && c.Stream != adminapi.PlaceRefused:
		err = badRequest("stream is %s or %s", adminapi.PlaceQuarantine, adminapi.PlaceRefused)
	case c.Source != "" && bridge.CheckName("source", c.Source) != nil:
		err = badRequest("source is not the name of one")
	case c.Cause != "" && bridge.CheckName("cause", c.Cause) != nil:
		err = badRequest("cause is not one")
	case c.Stream == "" && (len(c.Seqs) > 0 || c.After > 0):
		err = badRequest("seqs and after count within one stream: name it")
	}
	if err != nil {
		return adminapi.KeptSelection{}, err
	}
	return c.Selection(), nil
}

// RegisterQuarantine adds the routes about deliveries that did not become an
// event.
func RegisterQuarantine(api *echo.Group, q Quarantine) {
	h := quarantineAPI{q}
	api.GET("/quarantine", get(h.list))
	api.GET("/quarantine/causes", get(func(c echo.Context) (adminapi.KeptCauses, error) { return q.Causes(c.Request().Context()) }))
	api.GET("/quarantine/:stream/:seq", get(h.show))
	api.POST("/quarantine/reverify", call(h.reverify))
	api.POST("/quarantine/accept", call(h.accept))
	api.POST("/quarantine/drop", call(h.drop))
}

type quarantineAPI struct{ q Quarantine }

func (h quarantineAPI) list(c echo.Context) (list adminapi.KeptList, err error) {
	p, err := queryListing(c)
	if err != nil {
		return list, err
	}
	call := adminapi.KeptCall{Stream: c.QueryParam("stream"), Source: c.QueryParam("source"), Cause: c.QueryParam("cause"), Page: adminapi.Page{Limit: p.Limit}}
	sel, err := keptSelection(&call)
	if err != nil {
		return list, err
	}
	sel.Cursor = p.Cursor
	list, err = h.q.ListKept(c.Request().Context(), sel)
	return list, listed(err)
}

func (h quarantineAPI) show(c echo.Context) (detail adminapi.KeptDetail, err error) {
	seq, err := querySeq(c)
	if err != nil {
		return detail, err
	}
	e, err := h.q.Get(c.Request().Context(), c.Param("stream"), seq)
	return adminapi.KeptDetail{
		KeptDelivery: adminapi.NewKeptDelivery(&e), ContentType: e.ContentType, Proof: newHeader(e.Proof), Header: newHeader(e.Header), HeadersCut: e.HeadersCut, Query: e.Query, TraceParent: e.TraceParent,
		Content: newContent(e.Body),
	}, missing(err, "entry")
}

func (h quarantineAPI) reverify(c echo.Context, call adminapi.KeptCall) (report adminapi.KeptReport, err error) {
	sel, err := keptSelection(&call)
	if err != nil {
		return report, err
	}
	return left(c, h.q.Reverify(c.Request().Context(), sel, call.ReverifyOptions))
}

// maxAcceptText bounds By and Reason, in bytes.
const maxAcceptText = 256

func (h quarantineAPI) accept(c echo.Context, call adminapi.AcceptCall) (report adminapi.KeptReport, err error) {
	page := adminapi.KeptCall{Stream: adminapi.PlaceQuarantine, Page: adminapi.Page{Seqs: call.Seqs, Limit: maxEntries}}
	sel, err := keptSelection(&page)
	switch {
	case err != nil:
		return report, err
	case len(call.Seqs) == 0:
		return report, badRequest("seqs must name the entries")
	case len(call.By) > maxAcceptText || len(call.Reason) > maxAcceptText:
		return report, badRequest("by and reason have at most %d bytes each", maxAcceptText)
	}
	return left(c, h.q.Accept(c.Request().Context(), sel, adminapi.AcceptOptions{
		DryRun: call.DryRun, By: call.By, Reason: call.Reason, From: c.Request().RemoteAddr,
	}))
}

func (h quarantineAPI) drop(c echo.Context, call adminapi.KeptCall) (report adminapi.KeptReport, err error) {
	sel, err := keptSelection(&call)
	if err == nil {
		err = checkKeptDrop(&call)
	}
	if err != nil {
		return report, err
	}
	return left(c, h.q.Drop(c.Request().Context(), sel, call.DryRun))
}

// left has the audit tell how many entries left their place.
func left(c echo.Context, report adminapi.KeptReport) (adminapi.KeptReport, error) {
	changes(c, report.Removed)
	return report, report.Nothing()
}

func checkKeptDrop(call *adminapi.KeptCall) error {
	switch {
	case call.AcceptStale || call.AcceptPathToken:
		return badRequest("accept_stale and accept_path_token are for reverify")
	case call.Stream == "":
		return badRequest("stream must be named, since what is dropped is gone")
	}
	return nil
}
