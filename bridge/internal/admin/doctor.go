package admin

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// Doctor examines a deployment.
type Doctor interface {
	// Doctor says whether it is safe. What could not be found out is in the answer.
	Doctor(ctx context.Context) adminapi.Doctor
}

// RegisterDoctor adds the route by which a deployment is examined.
func RegisterDoctor(api *echo.Group, d Doctor) {
	api.GET("/doctor", get(func(c echo.Context) (adminapi.Doctor, error) { return d.Doctor(c.Request().Context()), nil }))
}
