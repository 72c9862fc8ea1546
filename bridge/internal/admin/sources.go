package admin

import (
	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// RegisterSources adds the route that lists the senders whose webhooks the process takes.
func RegisterSources(api *echo.Group, sources func() adminapi.SourceList) {
	api.GET("/sources", get(func(echo.Context) (adminapi.SourceList, error) { return sources(), nil }))
}
