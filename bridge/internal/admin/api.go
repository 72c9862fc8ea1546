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

// APIPrefix begins every path of the API.
const APIPrefix = "/api/v1"

const (
	maxAPIBody     = 1 << 20
	maxAPIInFlight = 64
	// maxSubmitting bounds the submissions in flight, apart from other requests: a provider
	// that hangs does not keep operators out.
	maxSubmitting = 64
)

var errBusy = unavailable("Too many requests of the API are in flight: try again.")

var errNoAPI = echo.NewHTTPError(http.StatusNotImplemented, "This process serves health and metrics, and has no API: ask one with the role admin.")

// SetAPI serves the routes that register adds to a group at [APIPrefix], and the documents
// of what others may rely on, also when the server runs already: /livez can answer before the API is ready. Until
// then the API answers 503. A route's error is answered as problem+json: an [echo.HTTPError]
// below 500 or of 502 to 504 with its message, an error of a view or a NATS that cannot be
// asked as 503, any other error as a bare 500.
func (s *Server) SetAPI(register func(api *echo.Group)) {
	e := newEcho(s.log)
	e.Use(s.permit, s.explained)
	s.serveDocuments(e)
	register(e.Group(APIPrefix))
	s.api.Store(e)
}

// serveAPI checks and limits a request of the API.
func (s *Server) serveAPI(c echo.Context) error {
	who, err := s.checkAccess(c)
	if err != nil {
		return err
	}
	r := c.Request().WithContext(context.WithValue(c.Request().Context(), callerKey{}, who))
	c.SetRequest(r)
	api := s.api.Load()
	if api == nil {
		return unavailable("The API is not served yet: try again.")
	}
	switch {
	case waits(r):
		return s.serveWaiting(c, api, s.waiting, "Too many wait for predictions: try again.")
	case isLive(r):
		return s.serveWaiting(c, api, s.live, "Too many live streams are open: close one, or try again.")
	case readsOutput(r):
		return s.serveWaiting(c, api, s.reading, "Too many outputs are read: try again.")
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

// submits reports whether a provider answers the request.
func submits(r *http.Request) bool {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), APIPrefix+"/predictions/")
	return r.Method == http.MethodPost && (ok && strings.Contains(path, "/") || r.URL.EscapedPath() == APIPrefix+"/poll")
}

type leaveKey struct{}

// leaveInFlight is called by a long request that has another bound from now on.
func leaveInFlight(ctx context.Context) {
	if leave, ok := ctx.Value(leaveKey{}).(func()); ok {
		leave()
	}
}

// tooLarge makes an error of a body over the limit one that its sender is told.
func tooLarge(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return echo.NewHTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("The body is larger than %d bytes.", large.Limit))
	}
	return err
}
