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

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Limits of one call; a client continues after the last entry.
const (
	defaultEntries = 100
	maxEntries     = 1000
	maxSequences   = 1000
	maxCallBody    = 64 << 10
	// minAPIRate and maxAPIRate bound the rate that a call may set, in events a second: a
	// slower call would not be answered in time.
	minAPIRate, maxAPIRate = 0.1, 1e6
)

func badRequest(format string, args ...any) error {
	return echo.NewHTTPError(http.StatusBadRequest, fmt.Sprintf(format, args...))
}

// badBody is the error of a body that is too large, did not arrive whole, or says something else.
func badBody(err error) error {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return err
	}
	return badRequest("the body is not the JSON object that this takes: %v", err)
}

// decodeCall decodes a body strictly: one object without unknown fields, and nothing behind
// it.
func decodeCall(c echo.Context, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(c.Response(), c.Request().Body, maxCallBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return badBody(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body is not the JSON object that this takes: something follows it")
	}
	return nil
}

// get returns a handler that answers read's result as JSON.
func get[T any](read func(c echo.Context) (T, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		out, err := read(c)
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, out)
	}
}

// call returns a handler that decodes the body and answers do's result as JSON.
func call[C, T any](do func(c echo.Context, call C) (T, error)) echo.HandlerFunc {
	return get(func(c echo.Context) (out T, err error) {
		var call C
		if err := decodeCall(c, &call); err != nil {
			return out, err
		}
		selects(c, call)
		return do(c, call)
	})
}

// missing turns [bridge.ErrNotFound] into a 404 that names what is missing.
func missing(err error, what string) error {
	if errors.Is(err, bridge.ErrNotFound) {
		return echo.NewHTTPError(http.StatusNotFound, "There is no such "+what+", or no longer.")
	}
	return err
}

// checkPage sets the default limit and checks the page.
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

// newHeader returns the header as the API shows it: an absent one is an empty object, not null.
func newHeader(h bridge.Header) bridge.Header {
	if h == nil {
		return bridge.Header{}
	}
	return h
}
