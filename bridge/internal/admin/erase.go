package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Eraser erases predictions for good. The report says what could not be erased; an error says
// that nothing was.
type Eraser interface {
	Prediction(ctx context.Context, source, id string, dryRun bool) (adminapi.EraseReport, error)
}

// RegisterErase adds the route that erases.
func RegisterErase(api *echo.Group, e Eraser) {
	slots := semaphore.NewWeighted(maxErasing)
	api.POST("/erase", call(func(c echo.Context, call adminapi.EraseCall) (report adminapi.EraseReport, err error) {
		if err := checkErase(call); err != nil {
			return report, err
		}
		if !slots.TryAcquire(1) {
			return report, unavailable(c, "Nothing was erased: other calls erase, one after the other: try again when they have ended.")
		}
		defer slots.Release(1)
		leaveInFlight(c.Request().Context()) // others are not to wait for as long as this may take
		if err := http.NewResponseController(c.Response()).SetWriteDeadline(time.Now().Add(eraseTime + answerTime)); err != nil {
			return report, err
		}
		// Its client may go away; what has begun is brought to its end.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), eraseTime)
		defer cancel()
		report, err = e.Prediction(ctx, call.Source, call.Prediction, call.DryRun)
		if err != nil {
			return report, unavailable(c, "Nothing was erased: "+err.Error()+": see that NATS serves, and that hookspan provision has made its streams.")
		}
		changes(c, report.Predictions)
		return report, nil
	}))
}

// maxErasing bounds the calls that erase or wait for those before them.
const maxErasing = 8

// eraseTime bounds one call.
const eraseTime = 10 * time.Minute

func checkErase(call adminapi.EraseCall) error {
	if call.Prediction == "" || len(call.Prediction) > bridge.MaxPredictionID {
		return badRequest("name a source and a prediction, whose id has 1 to %d bytes; a job of kind erase takes those of a tenant", bridge.MaxPredictionID)
	}
	if err := bridge.CheckName("source", call.Source); err != nil {
		return badRequest("%v", err)
	}
	return nil
}
