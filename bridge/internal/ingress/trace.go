package ingress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/tracing"
)

// traceParent returns the W3C trace context of this hop: that of the request's span, or else a
// new span in the sender's trace, or in a new trace when the sender's is missing or unreadable.
func traceParent(r *http.Request) string {
	if sc := trace.SpanContextFromContext(r.Context()); sc.IsValid() {
		return tracing.Parent(sc)
	}
	if r.Header.Get("traceparent") == "" {
		var ids [24]byte
		_, _ = rand.Read(ids[:]) // never fails, see crypto/rand
		return "00-" + hex.EncodeToString(ids[:16]) + "-" + hex.EncodeToString(ids[16:]) + "-00"
	}
	parent := tracing.OfRequest(r.Header) //nolint:contextcheck // a header belongs to no call
	span := trace.SpanContextConfig{TraceID: parent.TraceID(), TraceFlags: parent.TraceFlags()}
	if !parent.IsValid() {
		_, _ = rand.Read(span.TraceID[:])
	}
	_, _ = rand.Read(span.SpanID[:])
	return tracing.Parent(trace.NewSpanContext(span))
}

// beginSpan begins the span of a request, whose context has it from then on; nil without traces.
func (s *Server) beginSpan(c echo.Context, line *access) trace.Span {
	if s.deps.Tracer == nil {
		return nil
	}
	r := c.Request()
	ctx := trace.ContextWithRemoteSpanContext(r.Context(), tracing.OfRequest(r.Header))
	ctx, span := s.deps.Tracer.Start(ctx, r.Method+" "+c.Path(), trace.WithSpanKind(trace.SpanKindServer))
	c.SetRequest(r.WithContext(ctx))
	line.traceID = span.SpanContext().TraceID().String()
	return span
}

// endSpan ends the span of a delivery. A refused one has none: whoever sends forgeries must not
// push out the spans of others, so its span is never ended, and goes.
func (a *access) endSpan(span trace.Span, status int) {
	if span == nil || !a.delivery || status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		return
	}
	if span.IsRecording() {
		span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.String("hookspan.source", a.source),
			attribute.String("hookspan.result", a.result), tracing.Text("hookspan.event", a.event))
		if status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, a.cause)
		}
	}
	span.End()
}

// publish keeps an event, in a span of its own.
func (s *Server) publish(ctx context.Context, e *bridge.Event) (bridge.Receipt, error) {
	if s.deps.Tracer == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return s.deps.Publisher.Publish(ctx, e)
	}
	ctx, span := s.deps.Tracer.Start(ctx, "journal")
	defer span.End()
	receipt, err := s.deps.Publisher.Publish(ctx, e)
	if err != nil {
		span.SetStatus(codes.Error, "the event could not be kept")
	}
	span.SetAttributes(attribute.String("hookspan.result", string(receipt.Result)))
	return receipt, err
}
