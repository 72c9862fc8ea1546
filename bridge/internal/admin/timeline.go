package admin

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// timeline answers what happened to a prediction, and where it stands with each consumer.
func (h predictionsAPI) timeline(c echo.Context) error {
	source, id, err := predictionOf(c)
	if err != nil {
		return err
	}
	line, err := h.predictions.Timeline(c.Request().Context(), source, id, c.QueryParam("cursor"))
	switch {
	case errors.Is(err, adminapi.ErrCursor):
		return errCursor
	case err != nil:
		return notFound(err)
	}
	return c.JSON(http.StatusOK, line)
}
