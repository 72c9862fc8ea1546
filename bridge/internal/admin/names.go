package admin

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// RegisterNames adds the route that lists the existing names.
func RegisterNames(api *echo.Group, names func(ctx context.Context) (adminapi.Names, error)) {
	api.GET("/names", get(func(c echo.Context) (adminapi.Names, error) { return names(c.Request().Context()) }))
}
