package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

const (
	// spansWaiting and spansAtOnce bound the spans that wait for the collector, a few MB, and
	// those of one request. Spans beyond are dropped, and nobody waits.
	spansWaiting, spansAtOnce = 2048, 512
	// exportTime bounds a request with its repetitions, farewell the last one at the end.
	exportTime, farewell = 10 * time.Second, 2 * time.Second
	// lostLine is how often the log says that spans are lost.
	lostLine = time.Minute
)

// TraceConfig of [NewTraces].
type TraceConfig struct {
	// Getenv looks up OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_EXPORTER_OTLP_ENDPOINT. The SDK
	// reads other variables of OpenTelemetry from the environment of the process.
	Getenv  func(string) (string, bool)
	Version string // of Hookspan
	Logger  *zap.Logger
}

// Traces sends spans to a collector.
type Traces struct {
	provider *sdktrace.TracerProvider
	spans    *prometheus.CounterVec
}

// NewTraces returns traces that go to the collector which the environment names, over OTLP/HTTP;
// nil when it names none. The caller closes them.
func NewTraces(ctx context.Context, cfg TraceConfig) (*Traces, error) {
	endpoint, err := endpoint(cfg.Getenv)
	if endpoint == "" || err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint), otlptracehttp.WithTimeout(exportTime),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: exportTime, MaxElapsedTime: exportTime}))
	if err != nil {
		return nil, fmt.Errorf("exporting traces: %w", err)
	}
	about, err := resource.Merge(resource.NewSchemaless(attribute.String("service.name", "hookspan"), attribute.String("service.version", cfg.Version)), resource.Environment())
	if err != nil {
		return nil, fmt.Errorf("exporting traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Traces{spans: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookspan_trace_spans_total", Help: "Spans by what became of them: sent to the collector, or lost because it was away or refused them.",
	}, []string{"result"})}
	sent, lost := t.spans.WithLabelValues("sent"), t.spans.WithLabelValues("lost")
	t.provider = sdktrace.NewTracerProvider(sdktrace.WithResource(about), sdktrace.WithBatcher(
		&quietExporter{SpanExporter: exporter, log: cfg.Logger, say: rate.Sometimes{Interval: lostLine}, sent: sent, lost: lost},
		sdktrace.WithMaxQueueSize(spansWaiting), sdktrace.WithMaxExportBatchSize(spansAtOnce), sdktrace.WithExportTimeout(exportTime)))
	return t, nil
}

func endpoint(getenv func(string) (string, bool)) (string, error) {
	name := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	address, _ := getenv(name)
	path := ""
	if address == "" {
		name, path = "OTEL_EXPORTER_OTLP_ENDPOINT", "/v1/traces"
		if address, _ = getenv(name); address == "" {
			return "", nil
		}
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%s is no address of a collector: write it as http://localhost:4318", name)
	}
	return strings.TrimSuffix(address, "/") + path, nil
}

// Tracer begins spans; nil when there are no traces.
func (t *Traces) Tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("github.com/hookspan/hookspan")
}

// Collectors returns the metrics.
func (t *Traces) Collectors() []prometheus.Collector { return []prometheus.Collector{t.spans} }

// Close sends what waits, for at most two seconds.
func (t *Traces) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // a collector that is away was told of already, and holds up no end
	return nil
}

// quietExporter counts what is lost, and says it once a minute instead of for each batch.
type quietExporter struct {
	sdktrace.SpanExporter
	log        *zap.Logger
	say        rate.Sometimes
	sent, lost prometheus.Counter
}

func (e *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.lost.Add(float64(len(spans)))
		e.say.Do(func() {
			e.log.Warn("the collector of traces does not take spans, which are lost; nothing else is held up", zap.Error(err))
		})
		return nil //nolint:nilerr // the SDK would print it
	}
	e.sent.Add(float64(len(spans)))
	return nil
}
