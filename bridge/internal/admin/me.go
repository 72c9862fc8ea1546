package admin

import (
	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// RegisterCaller adds the route that says who asks, so that a client offers only what its token
// may do.
func RegisterCaller(api *echo.Group) {
	api.GET("/me", get(func(c echo.Context) (adminapi.Caller, error) {
		who := callerOf(c.Request().Context())
		return adminapi.Caller{Name: who.name, Scopes: who.scopes}, nil
	}))
}
