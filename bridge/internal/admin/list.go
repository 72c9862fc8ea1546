package admin

import (
	"errors"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// listing is a page of a list: its size, and what the page before said as next.
type listing struct {
	Limit  int
	Cursor string
}

// queryListing reads limit and cursor of a query.
func queryListing(c echo.Context) (p listing, err error) {
	p.Limit, p.Cursor = defaultEntries, c.QueryParam("cursor")
	if text := c.QueryParam("limit"); text != "" {
		if p.Limit, err = strconv.Atoi(text); err != nil || p.Limit < 1 || p.Limit > maxEntries {
			return p, badRequest("limit is 1 to %d", maxEntries)
		}
	}
	return p, nil
}

// listed turns the error of a cursor into its answer.
func listed(err error) error {
	if errors.Is(err, adminapi.ErrCursor) {
		return errCursor
	}
	return err
}
