package app

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
)

// removeOld removes what an earlier version kept of predictions in NATS, whose durable would
// hold events back for ever. The view has what they held.
func (p *provisioner) removeOld(ctx context.Context) {
	names := p.streams.Names
	durable := p.publish.DeleteConsumer(ctx, names.EventsStream(), bridge.PredictionsConsumer)
	bucket := p.publish.DeleteStream(ctx, names.OldPredictionsStream())
	if durable == nil || bucket == nil {
		p.log.Info("the prediction store of an earlier version was removed, the view replaces it", zap.String("stream", names.OldPredictionsStream()))
	}
	if errors.Is(durable, jetstream.ErrConsumerNotFound) {
		durable = nil
	}
	if errors.Is(bucket, jetstream.ErrStreamNotFound) {
		bucket = nil
	}
	if err := errors.Join(durable, bucket); err != nil {
		p.log.Warn("the prediction store of an earlier version cannot be removed, trying again", zap.Error(err))
		return
	}
	p.cleaned = true
}
