package admin

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// RegisterTestEvents adds the route that sends a test event. Send posts a webhook of a source to
// this bridge, as its provider does, and returns when it is answered. The error wraps
// adminapi.ErrNoSource or is a *adminapi.Refusal.
func RegisterTestEvents(api *echo.Group, send func(ctx context.Context, source string) (adminapi.TestEvent, error)) {
	api.POST("/test-events", call(func(c echo.Context, call adminapi.TestCall) (event adminapi.TestEvent, err error) {
		if err := bridge.CheckName("source", call.Source); err != nil {
			return event, badRequest("%v", err)
		}
		if event, err = send(c.Request().Context(), call.Source); err == nil {
			changes(c, 1)
		}
		return event, stored(c, err)
	}))
}
