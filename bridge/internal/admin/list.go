package admin

import (
	"errors"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// longestList bounds the search for a list's entries: a large stream may hold few that
// match.
const longestList = 15 * time.Second

// listing is a page's size, bounds and order.
type listing struct {
	adminapi.Page
	// Before, unless zero, leaves out the entries from that sequence on.
	Before uint64
	Newest bool
}

// queryListing reads limit, after, before and order of a query.
func queryListing(c echo.Context) (p listing, err error) {
	switch order := c.QueryParam("order"); order {
	case "", "oldest", "newest":
		p.Newest = order == "newest"
	default:
		return p, badRequest("order is oldest, which is the default, or newest")
	}
	if text := c.QueryParam("before"); text != "" {
		if p.Before, err = strconv.ParseUint(text, 10, 64); err != nil || p.Before == 0 {
			return p, badRequest("before is the sequence of an entry")
		}
	}
	if text := c.QueryParam("limit"); text != "" {
		if p.Limit, err = strconv.Atoi(text); err != nil || p.Limit < 1 {
			return p, badRequest("limit is 1 to %d", maxEntries)
		}
	}
	if text := c.QueryParam("after"); text != "" {
		if p.After, err = strconv.ParseUint(text, 10, 64); err != nil {
			return p, badRequest("after is the sequence of an entry")
		}
	}
	return p, checkPage(&p.Page)
}

// errPage ends a walk whose page is full.
var errPage = errors.New("the page is full")

// collect returns a page of at most limit rows. Walk calls add for each entry that it
// reads, in order, with its sequence and its row, until add returns an error, which walk
// returns.
func collect[T any](limit int, walk func(add func(place uint64, selected bool, row T) error) error) ([]T, adminapi.Listed, error) {
	rows, listed, until := []T{}, adminapi.Listed{}, time.Now().Add(longestList)
	err := walk(func(place uint64, selected bool, row T) error {
		if selected && len(rows) == limit || time.Now().After(until) {
			listed.More = true
			return errPage
		}
		if selected {
			rows = append(rows, row)
		}
		listed.Last = place
		return nil
	})
	if errors.Is(err, errPage) {
		err = nil
	}
	return rows, listed, err
}
