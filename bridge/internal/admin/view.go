package admin

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// View is the view of this process.
type View interface {
	// Status returns how far it is, and who polls.
	Status(ctx context.Context) (adminapi.ViewStatus, error)
	// Rebuild makes it anew from the streams. It does not wait for the end.
	Rebuild()
}

// RegisterView adds the routes about the view.
func RegisterView(api *echo.Group, v View) {
	api.GET("/view", get(func(c echo.Context) (adminapi.ViewStatus, error) { return v.Status(c.Request().Context()) }))
	api.POST("/view/rebuild", call(func(c echo.Context, _ struct{}) (adminapi.Rebuilding, error) {
		v.Rebuild()
		changes(c, 1)
		return adminapi.Rebuilding{Rebuilding: true}, nil
	}))
}
