package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

const (
	// maxWaiting is how many requests wait at a time. They are not among those that
	// maxAPIInFlight bounds: one that waits costs next to nothing.
	maxWaiting = 10_000
	// busyPause is what who is one too many is told to wait, in seconds.
	busyPause = "2"
)

// errStopping is why the context of a request that waits has ended, when the process
// stops.
var errStopping = errors.New("the process stops")

// waits reports whether the request is for a prediction that may not have ended yet.
func waits(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), APIPrefix+"/predictions/")
	if !ok || r.Method != http.MethodGet {
		return false
	}
	parts := strings.Split(path, "/")
	return len(parts) == 3 && parts[2] == "events" || len(parts) == 2 && r.URL.Query().Has("wait")
}

// serveWaiting hands on a request whose context also ends when the server stops.
func (s *Server) serveWaiting(c echo.Context, api *echo.Echo) error {
	if c.Request().ContentLength != 0 {
		// Until its body has come the server does not notice that a client goes.
		return badRequest("who waits sends no body")
	}
	if !s.waiting.TryAcquire(1) {
		// Its connection would keep out others, who do not wait.
		c.Response().Header().Set("Connection", "close")
		return unavailable(c, "Too many wait for predictions: try again.")
	}
	defer s.waiting.Release(1)
	ctx, cancel := context.WithCancelCause(c.Request().Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(errStopping) })()
	// The server's own limits are for short requests. Only the reading one is lifted as
	// a whole: what still comes is that the client goes away.
	if err := http.NewResponseController(c.Response()).SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	api.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
	return nil
}

// unavailable is an error after which its caller tries again.
func unavailable(c echo.Context, why string) error {
	c.Response().Header().Set("Retry-After", busyPause)
	return echo.NewHTTPError(http.StatusServiceUnavailable, why)
}
