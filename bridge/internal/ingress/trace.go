package ingress

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// traceParent returns the W3C trace context of this hop: a new span in the sender's trace,
// or in a new trace when the sender's is missing or unreadable.
func traceParent(h http.Header) string {
	if h.Get("traceparent") == "" {
		var ids [24]byte
		_, _ = rand.Read(ids[:]) // never fails, see crypto/rand
		return "00-" + hex.EncodeToString(ids[:16]) + "-" + hex.EncodeToString(ids[16:]) + "-00"
	}
	var codec propagation.TraceContext
	parent := trace.SpanContextFromContext(codec.Extract(context.Background(), propagation.HeaderCarrier(h)))
	span := trace.SpanContextConfig{TraceID: parent.TraceID(), TraceFlags: parent.TraceFlags()}
	if !parent.IsValid() {
		_, _ = rand.Read(span.TraceID[:])
	}
	_, _ = rand.Read(span.SpanID[:])
	carrier := propagation.MapCarrier{}
	codec.Inject(trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(span)), carrier)
	return carrier.Get("traceparent")
}
