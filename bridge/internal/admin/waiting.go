package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"
)

// maxWaiting bounds the requests that wait. maxAPIInFlight does not count them: a wait costs
// next to nothing.
const maxWaiting = 10_000

// errStopping is the cause of a waiting request's context when the process stops.
var errStopping = errors.New("the process stops")

// waits reports whether the request may wait for a prediction's end.
func waits(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), APIPrefix+"/predictions/")
	if !ok || r.Method != http.MethodGet {
		return false
	}
	parts := strings.Split(path, "/")
	return len(parts) == 3 && parts[2] == "events" || len(parts) == 2 && r.URL.Query().Has("wait")
}

// serveWaiting serves a request whose context also ends when the server stops. Without a slot
// it is answered 503, and why.
func (s *Server) serveWaiting(c echo.Context, api *echo.Echo, slots *semaphore.Weighted, why string) error {
	if c.Request().ContentLength != 0 {
		// The server notices that a client leaves only after the body has come.
		return badRequest("who waits sends no body")
	}
	if !slots.TryAcquire(1) {
		// Its connection would keep out requests that do not wait.
		c.Response().Header().Set("Connection", "close")
		return unavailable(why)
	}
	defer slots.Release(1)
	ctx, cancel := context.WithCancelCause(c.Request().Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(errStopping) })()
	if revoked := callerOf(ctx).revoked; revoked != nil {
		defer context.AfterFunc(revoked, func() { cancel(errRevoked) })()
	}
	// The server's limits are for short requests. Only the read deadline is lifted
	// altogether: all that can still come is the client's close.
	if err := http.NewResponseController(c.Response()).SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	api.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
	return nil
}
