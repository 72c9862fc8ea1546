package ingress

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

type keeps struct{}

func (keeps) Publish(context.Context, *bridge.Event) (bridge.Receipt, error) {
	return bridge.Receipt{Result: bridge.Stored}, nil
}

// What accepting does for traces allocates nothing while none are sent.
func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	s, line, e := &Server{deps: Deps{Publisher: keeps{}}}, &access{delivery: true}, &bridge.Event{ID: "pred_1/completed/1"}
	c := echo.New().NewContext(httptest.NewRequest(http.MethodPost, "/webhooks/get3w", nil), httptest.NewRecorder())
	require.Zero(t, testing.AllocsPerRun(100, func() {
		span := s.beginSpan(c, line)
		if _, err := s.publish(c.Request().Context(), e); err != nil {
			t.Error(err)
		}
		line.endSpan(span, http.StatusOK)
	}))
}
