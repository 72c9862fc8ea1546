package predictions

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hookspan/hookspan/bridge"
)

type reconciler struct{}

func newReconciler(Config, Store, jetstream.JetStream) *reconciler { return &reconciler{} }

func (*reconciler) run(ctx context.Context, _ desk) error { <-ctx.Done(); return nil }

func (*reconciler) due(rec openRecord) time.Time { return later(rec.ExpectedBy, rec.NotBefore) }

func (*reconciler) ended(*bridge.PredictionState, *bridge.Event, bool) {}

func (*reconciler) conflict(*bridge.PredictionState, *bridge.Event) {}

func (*reconciler) status(time.Time) map[string]bridge.SourceStatus { return nil }

func (*reconciler) collectors() []prometheus.Collector { return nil }

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
