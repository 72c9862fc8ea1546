package stream

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/journal"
	"github.com/hookspan/hookspan/internal/tracing"
)

// trace tells of a record that a stream has now: from when it was appended to the journal.
func (f *Forwarder) trace(b *block, r *journal.Record, receipt bridge.Receipt) {
	if f.cfg.Tracer == nil {
		return
	}
	_, span := tracing.Queued(context.Background(), f.cfg.Tracer, bridge.Header(r.Header).Get(bridge.HeaderTraceParent), "publish "+r.Stream, trace.SpanKindProducer, r.At,
		attribute.String("messaging.system", "nats"), attribute.String("messaging.destination.name", r.Stream), attribute.String("hookspan.result", string(receipt.Result)))
	if span == nil {
		return
	}
	span.AddEvent("sent", trace.WithTimestamp(b.began))
	span.End()
}
