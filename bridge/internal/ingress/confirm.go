package ingress

import (
	"context"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// Unconfirmed keeps deliveries whose provider has to be asked what they say.
type Unconfirmed interface {
	// Keep returns once the delivery about the prediction is durable, or durable already, and
	// only then without an error. An error wraps one of the errors of package bridge. Keep must
	// return soon after ctx ends. It is called concurrently.
	Keep(ctx context.Context, w *bridge.KeptDelivery, prediction string) (bridge.Receipt, error)
}

// Progress passes on what tells of progress only. It never blocks, and is called concurrently.
type Progress interface{ Tell(e *bridge.Event) }

// confirm keeps a delivery that names an end, until the provider was asked.
func (s *Server) confirm(ctx context.Context, req arrival, event *bridge.Event) error {
	receipt, err := s.deps.Unconfirmed.Keep(ctx, req.kept(bridge.CauseUnconfirmed, "the provider was not asked yet"), event.PredictionID)
	if err != nil {
		return err
	}
	accessLine(req.c).result = string(receipt.Result)
	return respondAccepted(req.c, accepted{Result: receipt.Result})
}

// progress passes on an event of which nothing is kept, unless any stranger could have sent it.
func (s *Server) progress(c echo.Context, from *source.Source, event *bridge.Event) error {
	if !from.Unproved() {
		s.deps.Progress.Tell(event)
	}
	accessLine(c).result = string(bridge.ProgressOnly)
	return respondAccepted(c, accepted{Result: bridge.ProgressOnly})
}
