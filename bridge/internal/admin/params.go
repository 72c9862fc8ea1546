package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// Limits of one call. Who wants more goes on after the last entry.
const (
	defaultEntries = 100
	maxEntries     = 1000
	maxSequences   = 1000
	maxCallBody    = 64 << 10
	// minAPIRate and maxAPIRate bound the rate that a call may ask for, in events a
	// second: an answer cannot wait longer for a single one.
	minAPIRate, maxAPIRate = 0.1, 1e6
)

func badRequest(format string, args ...any) error {
	return echo.NewHTTPError(http.StatusBadRequest, fmt.Sprintf(format, args...))
}

// decodeCall reads the body of a request strictly: one object, and nothing behind it.
func decodeCall(c echo.Context, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, maxCallBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badRequest("the body is not the JSON object that this takes: %v", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body is not the JSON object that this takes: something follows it")
	}
	return nil
}

// check fills the default, and refuses what came from outside and cannot be.
func checkPage(p *adminapi.Page) error {
	if p.Limit == 0 {
		p.Limit = defaultEntries
	}
	switch {
	case p.Limit < 0 || p.Limit > maxEntries:
		return badRequest("limit is 1 to %d", maxEntries)
	case len(p.Seqs) > maxSequences:
		return badRequest("seqs has at most %d", maxSequences)
	case p.After > math.MaxInt64:
		return badRequest("after is the sequence of an entry")
	}
	return nil
}

// longestList bounds how long a list is looked for: what is rare may be nowhere in a
// large stream.
const longestList = 15 * time.Second

// listing is how far a list goes and in which order.
type listing struct {
	adminapi.Page
	// Before leaves out the entries from that sequence on, unless it is zero.
	Before uint64
	Newest bool
}

// queryListing reads limit, after, before and order of a request that lists.
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

func querySeq(c echo.Context) (uint64, error) {
	seq, err := strconv.ParseUint(c.Param("seq"), 10, 64)
	if err != nil || seq == 0 {
		return 0, badRequest("seq is the sequence of an entry")
	}
	return seq, nil
}

func queryTime(c echo.Context, name string) (time.Time, error) {
	text := c.QueryParam(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, badRequest("%s is a time such as 2026-01-31T15:04:05Z", name)
	}
	return t, nil
}

func newContent(data []byte) adminapi.Content {
	if text := string(data); utf8.ValidString(text) {
		return adminapi.Content{Body: &text}
	}
	return adminapi.Content{BodyBase64: data}
}
