package admin

import (
	"errors"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	toldAway = "NATS does not answer: see that its servers run and that this bridge reaches them, then try again."
	// toldUnsure is for calls that change something.
	toldUnsure = " Whether the change was made is not known: look before you repeat it."
	toldNoView = "The view cannot be read now: try again, and see hookspan view status."
)

// explained answers a request that NATS or the view kept from its answer with a 503 that says
// what to do, whatever the route.
func (s *Server) explained(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if _, told := errors.AsType[*echo.HTTPError](err); err == nil || told {
			return err
		}
		if cannot, is := errors.AsType[adminapi.CannotServe](err); is {
			return unavailable(cannot.Text)
		}
		switch {
		case errors.Is(err, adminapi.ErrUnavailable):
			return unavailable(toldNoView)
		case s.isAway(err):
			why := toldAway
			if scopeOf(c.Request().Method, c.Path()) != adminapi.ScopeRead {
				why += toldUnsure
			}
			return unavailable(why)
		}
		return err
	}
}

func (s *Server) isAway(err error) bool {
	return errors.Is(err, adminapi.ErrNoAnswer) || errors.Is(err, bridge.ErrUnavailable) || errors.Is(err, bridge.ErrUnknown) || s.away != nil && s.away(err)
}
