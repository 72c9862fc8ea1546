package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"
)

// APIPrefix begins the path of everything of the API.
const APIPrefix = "/api/v1"

const (
	maxAPIBody     = 1 << 20
	maxAPIInFlight = 64
	// maxSubmitting is how many submissions are in flight beside those: a provider that
	// hangs does not keep operators out.
	maxSubmitting = 64
)

// errBusy: its caller can try again.
var errBusy = echo.NewHTTPError(http.StatusServiceUnavailable, "Too many requests of the API are in flight: try again.")

// SetAPI has register add the routes of the API to a group that begins with
// [APIPrefix], and serves them from then on, also when the server runs already:
// what the API is about may become ready after the process has begun to say that
// it lives. Until then the API is answered 503. An error that a route returns is
// answered as problem+json: an [echo.HTTPError] below 500 or of 502 to 504 with its
// message, any other as 500 without a word of it.
func (s *Server) SetAPI(register func(api *echo.Group)) {
	e := newEcho(s.log)
	register(e.Group(APIPrefix))
	s.api.Store(e)
}

// serveAPI guards the API and hands the request on.
func (s *Server) serveAPI(c echo.Context) error {
	r := c.Request()
	if err := s.checkAccess(r); err != nil {
		return err
	}
	api := s.api.Load()
	if api == nil {
		return echo.NewHTTPError(http.StatusServiceUnavailable, "The API is not served yet: try again.")
	}
	if waits(r) {
		return s.serveWaiting(c, api)
	}
	slots := s.inFlight
	if submits(r) {
		slots = s.submitting
	}
	if !slots.TryAcquire(1) {
		return errBusy
	}
	leave := sync.OnceFunc(func() { slots.Release(1) })
	defer leave()
	r = r.WithContext(context.WithValue(r.Context(), leaveKey{}, leave))
	r.Body = http.MaxBytesReader(c.Response(), r.Body, maxAPIBody)
	api.ServeHTTP(c.Response(), r)
	return nil
}

// submits reports whether the request is answered by a provider.
func submits(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), APIPrefix+"/predictions/")
	return ok && r.Method == http.MethodPost && strings.Contains(path, "/")
}

type leaveKey struct{}

// leaveInFlight is called by a request that has a bound of its own from now on, since it
// goes on for long.
func leaveInFlight(ctx context.Context) {
	if leave, ok := ctx.Value(leaveKey{}).(func()); ok {
		leave()
	}
}

// tooLarge makes an error of a body over the limit one that its sender is told.
func tooLarge(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", maxAPIBody))
	}
	return err
}
