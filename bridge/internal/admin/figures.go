package admin

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Figures counts what happened. Their errors wrap adminapi.ErrCursor for a cursor that is none.
type Figures interface {
	// DeadGroups returns a page of groups of dead letters. Of the selection it heeds the
	// consumer, the cause and the page.
	DeadGroups(ctx context.Context, sel adminapi.DeadSelection) (adminapi.DeadGroupList, error)
	Models(ctx context.Context, sel adminapi.ModelSelection) (adminapi.ModelList, error)
	Alarms(ctx context.Context, sel adminapi.AlarmSelection) (adminapi.AlarmList, error)
	Status(ctx context.Context) (adminapi.Status, error)
	// ConsumerHistory says how a consumer did; of one that nobody knows it is empty.
	ConsumerHistory(ctx context.Context, name string) (adminapi.ConsumerHistory, error)
}

// RegisterFigures adds the routes that count.
func RegisterFigures(api *echo.Group, f Figures) {
	h := figuresAPI{f}
	api.GET("/dead/groups", get(h.groups))
	api.GET("/models", get(h.models))
	api.GET("/alarms", get(h.alarms))
	api.GET("/consumers/:name/history", get(func(c echo.Context) (adminapi.ConsumerHistory, error) {
		return f.ConsumerHistory(c.Request().Context(), c.Param("name"))
	}))
	api.GET("/status", get(func(c echo.Context) (adminapi.Status, error) { return f.Status(c.Request().Context()) }))
}

type figuresAPI struct{ figures Figures }

func (h figuresAPI) groups(c echo.Context) (list adminapi.DeadGroupList, err error) {
	p, err := queryListing(c)
	if err != nil {
		return list, err
	}
	list, err = h.figures.DeadGroups(c.Request().Context(), adminapi.DeadSelection{
		Consumer: c.QueryParam("consumer"), Cause: bridge.DeadCause(c.QueryParam("cause")), Cursor: p.Cursor, Limit: p.Limit,
	})
	return list, listed(err)
}

// defaultSince is the time of which models are counted.
const defaultSince = 24 * time.Hour

func (h figuresAPI) models(c echo.Context) (list adminapi.ModelList, err error) {
	p, err := queryListing(c)
	if err != nil {
		return list, err
	}
	sel := adminapi.ModelSelection{Since: defaultSince, Source: c.QueryParam("source"), Model: c.QueryParam("model"), Cursor: p.Cursor, Limit: p.Limit}
	if text := c.QueryParam("since"); text != "" {
		if sel.Since, err = querySince(text); err != nil {
			return list, err
		}
	}
	if sel.Newest, err = queryOrder(c, "failing", "newest"); err != nil {
		return list, err
	}
	list, err = h.figures.Models(c.Request().Context(), sel)
	return list, listed(err)
}

// querySince reads a length of time: as Go writes it, or in days.
func querySince(text string) (time.Duration, error) {
	since, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint64
		n, err = strconv.ParseUint(days, 10, 8)
		since = time.Duration(n) * 24 * time.Hour //nolint:gosec // one byte
	}
	if err != nil || since < time.Minute || since > adminapi.MaxSince {
		return 0, badRequest("since is how long ago the time begins, such as 90m, 24h or 7d: at least a minute and at most 30 days")
	}
	return since, nil
}

// queryOrder reports whether order is the second of two words; the first one is the default.
func queryOrder(c echo.Context, first, second string) (bool, error) {
	switch order := c.QueryParam("order"); order {
	case "", first:
		return false, nil
	case second:
		return true, nil
	}
	return false, badRequest("order is %s, which is the default, or %s", first, second)
}

func (h figuresAPI) alarms(c echo.Context) (list adminapi.AlarmList, err error) {
	p, err := queryListing(c)
	if err != nil {
		return list, err
	}
	sel := adminapi.AlarmSelection{Kind: c.QueryParam("kind"), Subject: c.QueryParam("subject"), Cursor: p.Cursor, Limit: p.Limit}
	switch c.QueryParam("active") {
	case "", "false":
	case "true":
		sel.Active = true
	default:
		return list, badRequest("active is true or false")
	}
	list, err = h.figures.Alarms(c.Request().Context(), sel)
	return list, listed(err)
}
