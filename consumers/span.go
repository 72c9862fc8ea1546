package consumers

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/tracing"
)

// beginSpan returns the context and the event for the handler: with the span of this attempt,
// where there is one. What the bridge stores of the event keeps the event's own.
func (a *attempt) beginSpan(ctx context.Context) (context.Context, *bridge.Event) {
	if a.consumer.cfg.Tracer == nil || a.event == nil {
		return ctx, a.event
	}
	ctx, a.span = tracing.Queued(ctx, a.consumer.cfg.Tracer, a.event.TraceParent, "attempt "+a.consumer.cfg.Name, trace.SpanKindConsumer, a.started,
		attribute.String("messaging.system", "nats"), attribute.String("messaging.consumer.group.name", a.consumer.cfg.Name),
		tracing.Text("hookspan.event", a.event.ID), tracing.Text("hookspan.prediction", a.event.PredictionID), attribute.Int("hookspan.attempt", a.info.Number))
	if a.span == nil {
		return ctx, a.event
	}
	ev := *a.event
	ev.TraceParent = tracing.Parent(a.span.SpanContext())
	return ctx, &ev
}

func (a *attempt) endSpan(v Verdict) {
	if a.span == nil {
		return
	}
	a.span.SetAttributes(attribute.String("hookspan.verdict", v.Action.String()))
	if a.err != nil && v.Action != ActionDone {
		failed := tracing.Text("", a.err.Error())
		a.span.SetStatus(codes.Error, failed.Value.AsString())
	}
	a.span.End()
}
