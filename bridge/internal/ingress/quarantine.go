package ingress

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// Quarantine keeps authentic deliveries that cannot become an event.
type Quarantine interface {
	// Keep returns once the delivery is durable, or durable already, and only
	// then without an error. An error wraps one of the errors of package bridge.
	// Keep must return soon after ctx ends. It is called concurrently.
	Keep(ctx context.Context, w *bridge.KeptDelivery) (bridge.Receipt, error)
}

// keep keeps a delivery that is no event, and answers it. An authentic one is
// quarantined, any other is refused.
func (s *Server) keep(ctx context.Context, req arrival, err error) error {
	if unusable, ok := errors.AsType[*source.UnusableError](err); ok {
		return s.quarantine(ctx, req, unusable)
	}
	if errors.Is(err, source.ErrNoKeys) {
		return err // nobody knows yet
	}
	s.refuse(req)
	if !req.route.Source.HasSecret() {
		return fmt.Errorf("no secret is configured: %w", err)
	}
	return err
}

// quarantine keeps a delivery that is authentic and not usable: its sender would
// only repeat it and then give it up.
func (s *Server) quarantine(ctx context.Context, req arrival, unusable *source.UnusableError) error {
	w := req.kept(string(unusable.Cause), unusable.Detail)
	receipt, err := s.deps.Quarantine.Keep(ctx, w)
	if err != nil {
		return err
	}
	line := accessLine(req.c)
	line.result, line.cause = string(receipt.Result), w.Cause
	if receipt.Result == bridge.Erasure {
		return respondAccepted(req.c, accepted{Result: receipt.Result})
	}
	return respondAccepted(req.c, accepted{Result: receipt.Result, Cause: w.Cause})
}
