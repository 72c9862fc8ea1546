package admin

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// RegisterNames adds the route that says which names exist.
func RegisterNames(api *echo.Group, names func(ctx context.Context) (adminapi.Names, error)) {
	api.GET("/names", func(c echo.Context) error {
		now, err := names(c.Request().Context())
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, now)
	})
}
