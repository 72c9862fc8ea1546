package ingress

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// Errors of a request whose body has not been looked at.
var (
	errUnknownSource = errors.New("unknown source")
	errTooLarge      = errors.New("body is too large")
	errEncoded       = errors.New("body is encoded")
	errSlow          = errors.New("body came too slowly")
	errCutOff        = errors.New("body was cut off")
	errBusy          = errors.New("too much in flight")
	errRate          = errors.New("too many requests from one address")
	errStopping      = errors.New("shutting down")
	errToken         = fmt.Errorf("path token: %w", source.ErrNotAuthentic)
)

// accepted is the body of a 200. The sender is told so of an event that is stored, known
// already or spooled, of one whose prediction is erased for good, of which nothing is kept, and
// of a delivery that is quarantined: one that cannot be decoded or
// is stale ([source.CauseStale]), since a retry could not help and nothing is lost.
type accepted struct {
	Result bridge.Result `json:"result"`
	// ID is that of the event, Cause why the delivery is quarantined.
	ID    string `json:"id,omitempty"`
	Cause string `json:"cause,omitempty"`
}

// respondAccepted is the only writer of 200 to a delivery.
func respondAccepted(c echo.Context, body accepted) error {
	b := append(make([]byte, 0, 384), `{"result":`...)
	b = appendText(b, string(body.Result))
	if body.ID != "" {
		b = appendText(append(b, `,"id":`...), body.ID)
	}
	if body.Cause != "" {
		b = appendText(append(b, `,"cause":`...), body.Cause)
	}
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, append(b, '}', '\n'))
}

// appendText appends a JSON string. Bytes that are no UTF-8 are replaced, which is no error.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

// answer is what the sender is told of an error. The text never depends on what
// was wrong in detail, so it holds nothing that helps to forge or to look inside.
type answer struct {
	err        error
	status     int
	retryAfter string // in seconds
	detail     string
	// cause is for our log and metrics.
	cause string
	// outcome is what senders of some kinds are told otherwise.
	outcome source.Outcome
}

// causeBusy: there was no room for the request.
const causeBusy = "busy"

// later is the Retry-After of every 503 and 429, in seconds: the first gap of Get3W's own
// schedule.
const later = "10"

// answers is the one place where an error becomes a status; everything else is
// [accepted]. The first that matches counts.
var answers = []answer{
	{source.ErrNotAuthentic, http.StatusUnauthorized, "", "The delivery is not authentic: check the secret and the URL.", causeNotAuthentic, source.NotAuthentic},
	{source.ErrNoKeys, http.StatusServiceUnavailable, later, "The keys of the sender are unavailable: try again.", "no_keys", source.ComeAgain},
	{errUnknownSource, http.StatusNotFound, "", "No source of this name is configured.", "unknown_source", 0},
	{errTooLarge, http.StatusRequestEntityTooLarge, "", "The body is larger than this endpoint accepts.", causeTooLarge, 0},
	{bridge.ErrTooLarge, http.StatusRequestEntityTooLarge, "", "The event is larger than the store accepts.", causeTooLarge, 0},
	{errEncoded, http.StatusUnsupportedMediaType, "", "Send the body without a content encoding.", "encoded", 0},
	{errSlow, http.StatusRequestTimeout, "", "The body did not arrive in time.", "slow", source.ComeAgain},
	{errCutOff, http.StatusBadRequest, "", "The body did not arrive whole.", "cut_off", 0},
	{errBusy, http.StatusServiceUnavailable, later, "Too much is in flight: try again.", causeBusy, source.ComeAgain},
	{errRate, http.StatusTooManyRequests, later, "Too many requests come from this address: try again.", "rate", source.ComeAgain},
	{errStopping, http.StatusServiceUnavailable, later, "This endpoint is shutting down: try again.", "stopping", source.ComeAgain},
	{bridge.ErrFull, http.StatusServiceUnavailable, later, "The event store is full: try again.", "full", source.ComeAgain},
	{bridge.ErrUnavailable, http.StatusServiceUnavailable, later, "The event store is unavailable: try again.", "unavailable", source.ComeAgain},
	{bridge.ErrUnknown, http.StatusServiceUnavailable, later, "It is not known whether the event was stored: try again.", "unknown", source.ComeAgain},
}

// problem is the body of an error (RFC 9457).
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"request_id"`
}

func answerTo(err error) answer {
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return a
		}
	}
	var http4xx *echo.HTTPError
	if errors.As(err, &http4xx) && http4xx.Code < http.StatusInternalServerError {
		return answer{status: http4xx.Code, cause: "route"}
	}
	return answer{status: http.StatusInternalServerError, cause: "internal", outcome: source.ComeAgain}
}

// respondError alone writes errors.
func respondError(err error, c echo.Context) {
	line := accessLine(c)
	a := answerTo(err)
	if line.kind != nil && a.outcome != 0 {
		a.status = line.kind.Status(a.outcome, a.status)
	}
	line.cause, line.err = a.cause, err
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	if a.retryAfter != "" {
		h.Set("Retry-After", a.retryAfter)
	}
	if a.status == http.StatusMethodNotAllowed {
		h.Set(echo.HeaderAllow, allowed(c.Request().URL.Path))
	}
	h.Set("Content-Type", "application/problem+json")
	c.Response().WriteHeader(a.status)
	// The status is sent already; a sender that does not take the body still has it.
	_ = json.NewEncoder(c.Response()).Encode(problem{
		Type:      "about:blank",
		Title:     http.StatusText(a.status),
		Status:    a.status,
		Detail:    a.detail,
		RequestID: line.requestID,
	})
}
