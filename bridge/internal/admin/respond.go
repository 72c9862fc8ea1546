package admin

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"

	"github.com/labstack/echo/v4"
	"go.uber.org/zap"
)

// busyPause is the Retry-After of a 503 that has no other, in seconds.
const busyPause = "2"

// problem is the body of an error (RFC 9457).
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"request_id"`
}

// unavailable is a 503.
func unavailable(why string) error { return echo.NewHTTPError(http.StatusServiceUnavailable, why) }

// newEcho returns a router that answers errors as problems and confines a panic to its
// request.
func newEcho(log *zap.Logger) *echo.Echo {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) { respondError(err, c, log) }
	e.Use(recovering)
	return e
}

func recovering(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if e, ok := p.(error); ok && errors.Is(e, http.ErrAbortHandler) {
				panic(p) // net/http's own way to end a connection
			}
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}()
		return next(c)
	}
}

// meant reports whether a status was chosen on purpose: the client is at fault, or a
// service that the bridge calls.
func meant(status int) bool {
	return status < http.StatusInternalServerError || status == http.StatusBadGateway ||
		status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// problemOf returns what a client is told of an error.
func problemOf(err error) problem {
	p := problem{Type: "about:blank", Status: http.StatusInternalServerError}
	if told, ok := errors.AsType[*echo.HTTPError](tooLarge(err)); ok {
		p.Status = told.Code
		if meant(told.Code) {
			p.Detail = fmt.Sprint(told.Message)
		}
	}
	p.Title = http.StatusText(p.Status)
	if p.Detail == p.Title {
		p.Detail = ""
	}
	return p
}

// requestID returns the id of a request, which its answer has as a header and the audit in its
// line.
func requestID(c echo.Context) string {
	h := c.Response().Header()
	if h.Get(echo.HeaderXRequestID) == "" {
		h.Set(echo.HeaderXRequestID, rand.Text())
	}
	return h.Get(echo.HeaderXRequestID)
}

// respondError alone writes errors, and logs our own faults.
func respondError(err error, c echo.Context, log *zap.Logger) {
	p := problemOf(err)
	p.RequestID = requestID(c)
	if !meant(p.Status) {
		log.Error("a request of an operator failed", zap.String("request_id", p.RequestID),
			zap.String("method", c.Request().Method), zap.String("route", c.Path()), zap.Error(err))
	}
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	if p.Status == http.StatusServiceUnavailable && h.Get(echo.HeaderRetryAfter) == "" {
		h.Set(echo.HeaderRetryAfter, busyPause)
	}
	h.Set(echo.HeaderContentType, "application/problem+json")
	c.Response().WriteHeader(p.Status)
	// The status is sent already; a client that does not take the body still has it.
	_ = json.NewEncoder(c.Response()).Encode(p)
}
