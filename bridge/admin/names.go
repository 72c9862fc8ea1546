package admin

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"
)

// Names are what calls can name, sorted.
type Names struct {
	// Consumers have a durable, or are configured.
	Consumers []string `json:"consumers"`
	// Sources are configured.
	Sources []string `json:"sources"`
}

// RegisterNames adds the route that says which names exist.
func RegisterNames(api *echo.Group, names func(ctx context.Context) (Names, error)) {
	api.GET("/names", func(c echo.Context) error {
		now, err := names(c.Request().Context())
		if err != nil {
			return err
		}
		return c.JSON(http.StatusOK, now)
	})
}
