package admin

import (
	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// RegisterConfig adds the route that shows the configuration. Config returns what the process
// uses now; it is called concurrently.
func RegisterConfig(api *echo.Group, config func() adminapi.Config) {
	api.GET("/config", get(func(echo.Context) (adminapi.Config, error) { return config(), nil }))
}
