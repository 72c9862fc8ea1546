package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hookspan/hookspan/internal/retryafter"
)

// maxRetryAfter bounds Retry-After.
const maxRetryAfter = time.Hour

// Error is an answer of the bridge with a status other than 200. A refusal of the provider
// has the provider's status.
type Error struct {
	Status int
	// Detail says what is wrong; it can be empty.
	Detail string
	// RetryAfter is how long to wait before trying again, zero when the answer does not
	// say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := fmt.Sprintf("the bridge answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// connectionError means that no whole answer came.
type connectionError struct{ err error }

func (e *connectionError) Error() string { return e.err.Error() }
func (e *connectionError) Unwrap() error { return e.err }

func newError(res *http.Response) error {
	e := &Error{Status: res.StatusCode, RetryAfter: min(retryafter.Parse(res.Header.Get("Retry-After"), time.Now()), maxRetryAfter)}
	var problem struct {
		Detail string `json:"detail"`
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if err == nil && json.Unmarshal(text, &problem) == nil {
		e.Detail = problem.Detail
	}
	return e
}

// passes reports whether the error may be gone in a moment: the bridge is away, restarting
// or overloaded.
func passes(err error) bool {
	if answered, ok := errors.AsType[*Error](err); ok {
		switch answered.Status {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	_, ok := errors.AsType[*connectionError](err)
	return ok
}
