package tracing_test

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/hookspan/hookspan/internal/tracing"
)

const (
	sampled   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func TestSpansOfAQueue(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
	ctx, at := context.Background(), time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for _, none := range []string{"", "nonsense", unsampled} {
		got, span := tracing.Queued(ctx, tracer, none, "x", trace.SpanKindConsumer, at)
		require.Nil(t, span, none)
		require.Equal(t, ctx, got)
	}
	_, span := tracing.Queued(ctx, nil, sampled, "x", trace.SpanKindConsumer, at)
	require.Nil(t, span, "without a tracer")
	inside, span := tracing.Queued(ctx, tracer, sampled, "x", trace.SpanKindConsumer, at, tracing.Text("id", "a\xff"+strings.Repeat("b", 1000)))
	require.Equal(t, span.SpanContext(), trace.SpanContextFromContext(inside))
	span.End()
	ended := spans.Ended()
	require.Len(t, ended, 1)
	require.Equal(t, "b7ad6b7169203331", ended[0].Parent().SpanID().String())
	require.Equal(t, "b7ad6b7169203331", ended[0].Links()[0].SpanContext.SpanID().String())
	require.Equal(t, at, ended[0].StartTime())
	text := ended[0].Attributes()[0].Value.AsString()
	require.True(t, utf8.ValidString(text))
	require.LessOrEqual(t, len(text), 512)
	require.Regexp(t, "^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$", tracing.Parent(span.SpanContext()))
}

func TestWithoutTracesNothingIsAllocated(t *testing.T) {
	ctx, at := context.Background(), time.Now()
	require.Zero(t, testing.AllocsPerRun(100, func() { tracing.Queued(ctx, nil, sampled, "x", trace.SpanKindConsumer, at) }))
}

// What is read of a text is written as the same context.
func FuzzContext(f *testing.F) {
	for _, text := range []string{sampled, unsampled, "", "00-0-0-0", "ff" + sampled[2:], sampled + "-more"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sc := tracing.Context(text)
		again := tracing.Parent(sc)
		if !sc.IsValid() {
			require.Empty(t, again)
			return
		}
		require.Len(t, again, 55)
		require.Equal(t, sc.SpanID(), tracing.Context(again).SpanID())
		require.Equal(t, sc.TraceID(), tracing.Context(again).TraceID())
		require.Equal(t, sc.IsSampled(), tracing.Context(again).IsSampled())
	})
}
