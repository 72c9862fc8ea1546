// Package tracing carries W3C trace contexts in texts, as events do, and begins spans of them.
// Everything is safe for concurrent use.
package tracing

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookspan/hookspan/internal/printable"
)

const (
	header = "traceparent"
	// maxAttribute bounds the text of an attribute, in bytes: spans wait in memory.
	maxAttribute = 512
)

// Context returns the span context of a traceparent, one that is not valid for a text that is
// none.
func Context(traceparent string) trace.SpanContext {
	if traceparent == "" {
		return trace.SpanContext{}
	}
	var codec propagation.TraceContext
	return trace.SpanContextFromContext(codec.Extract(context.Background(), propagation.MapCarrier{header: traceparent}))
}

// OfRequest returns the span context that a request carries, one that is not valid for none.
func OfRequest(h http.Header) trace.SpanContext { return Context(h.Get(header)) }

// Parent writes a span context as a traceparent, "" for one that is not valid.
func Parent(sc trace.SpanContext) string {
	if !sc.IsValid() {
		return ""
	}
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + (sc.TraceFlags() & trace.FlagsSampled).String()
}

// Text is an attribute whose text may come from outside: it is cut to 512 bytes of UTF-8, since
// one that is not UTF-8 would have the collector refuse every span that is sent with it.
func Text(key, text string) attribute.KeyValue {
	return attribute.String(key, printable.Truncate(text, maxAttribute))
}

// Queued begins the span of something that happens to a message of a queue, at that time: a child
// of the span that the message names, and linked to it. It is nil, and so is the tracer's cost,
// without a tracer or for a message whose trace is not sampled.
func Queued(ctx context.Context, tracer trace.Tracer, traceparent, name string, kind trace.SpanKind, at time.Time, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	if tracer == nil {
		return ctx, nil
	}
	from := Context(traceparent)
	if !from.IsSampled() {
		return ctx, nil
	}
	return tracer.Start(trace.ContextWithRemoteSpanContext(ctx, from), name, trace.WithSpanKind(kind), trace.WithTimestamp(at),
		trace.WithLinks(trace.Link{SpanContext: from}), trace.WithAttributes(attributes...))
}
