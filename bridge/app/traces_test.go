package app

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	collected "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/signing"
)

// collector is a stub of an OTLP collector.
type collector struct {
	url string

	mu    sync.Mutex
	spans []*tracepb.Span
}

func newCollector(t testing.TB) *collector {
	t.Helper()
	c := &collector{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var got collected.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &got) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, of := range got.GetResourceSpans() {
			for _, scope := range of.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

// tracedApp serves with a collector, and returns its log.
func tracedApp(t testing.TB, endpoint, text string) (*App, *bytes.Buffer) {
	t.Helper()
	file := configFile(t, "data_dir: "+t.TempDir()+"\n"+text)
	cfg, err := config.Load(file)
	require.NoError(t, err)
	var logs bytes.Buffer // read after Stop
	a, err := New(cfg, Options{File: file, Log: &logs, Getenv: func(name string) (string, bool) {
		switch name {
		case "GET3W_WEBHOOK_SECRET":
			return sampleSecret, true
		case "OTEL_EXPORTER_OTLP_ENDPOINT":
			return endpoint, true
		}
		return "", false
	}})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	return a, &logs
}

// postTraced posts a webhook in a trace of the sender's.
func postTraced(t *testing.T, a *App, id, traceparent, key string) int {
	t.Helper()
	body := `{"id":"` + id + `","status":"failed"}`
	req, err := http.NewRequest(http.MethodPost, a.Ready().Webhooks["get3w"], strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set(signing.Header, signing.Sign([]byte(body), []byte(key)))
	req.Header.Set("Traceparent", traceparent)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	sender  = "b7ad6b7169203331"
)

// One trace leads from the sender's span through the request, the journal and the stream to each
// attempt and the command that it runs, and the log names it.
func TestOneTraceFromThePostToTheHandler(t *testing.T) {
	t.Parallel()
	c, out := newCollector(t), filepath.Join(t.TempDir(), "traceparent")
	a, logs := tracedApp(t, c.url, strings.Replace(freePorts, "[/bin/true]", `[/bin/sh, -c, 'printf %s "$TRACEPARENT" > "$0.tmp.$HOOKSPAN_PREDICTION_ID" && mv "$0.tmp.$HOOKSPAN_PREDICTION_ID" "$0.$HOOKSPAN_PREDICTION_ID"', `+out+`]`, 1))
	require.Equal(t, 200, postTraced(t, a, "pred_1", "00-"+traceID+"-"+sender+"-01", sampleSecret))
	require.Equal(t, 401, postTraced(t, a, "pred_2", "00-"+traceID+"-"+sender+"-01", "forged"))
	require.Equal(t, 200, postTraced(t, a, "pred_3", "00-"+traceID+"-"+sender+"-00", sampleSecret), "the sender does not sample it")
	var passed []byte
	require.Eventually(t, func() bool { passed, _ = os.ReadFile(out + ".pred_1"); return len(passed) > 0 }, time.Minute, 10*time.Millisecond)
	require.NoError(t, a.Stop()) // the rest is sent at the end
	byName := map[string]*tracepb.Span{}
	for _, s := range c.spans {
		require.Equal(t, traceID, hex.EncodeToString(s.GetTraceId()), s.GetName())
		require.Nil(t, byName[s.GetName()], "twice: %s", s.GetName())
		byName[s.GetName()] = s
	}
	const post, publish = "POST /webhooks/:source", "publish HOOKSPAN_EVENTS"
	for name, parent := range map[string]string{post: sender, "journal": post, publish: post, "attempt handle": post} {
		s := byName[name]
		require.NotNil(t, s, "%s of %v", name, byName)
		if byName[parent] != nil {
			parent = hex.EncodeToString(byName[parent].GetSpanId())
		}
		require.Equal(t, parent, hex.EncodeToString(s.GetParentSpanId()), name)
		if linked := s.GetLinks(); name == publish || strings.HasPrefix(name, "attempt") {
			require.Len(t, linked, 1, name)
			require.Equal(t, byName[post].GetSpanId(), linked[0].GetSpanId(), name)
		}
	}
	require.Equal(t, "00-"+traceID+"-"+hex.EncodeToString(byName["attempt handle"].GetSpanId())+"-01", string(passed), "what the command goes on with")
	lines := map[string]bool{}
	for line := range strings.Lines(logs.String()) {
		var entry struct {
			Msg   string
			Trace string `json:"trace_id"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry))
		lines[entry.Msg] = lines[entry.Msg] || entry.Trace == traceID
	}
	require.True(t, lines["request"] && lines["attempt"], "%v", lines)
}

// A collector that hangs or refuses holds nothing up: what it does not take is lost and counted.
func TestCollectorThatIsAwayHoldsNothingUp(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(done) })
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(refusing.Close)
	for _, endpoint := range []string{hanging.URL, refusing.URL, "no address"} {
		a, logs := tracedApp(t, endpoint, freePorts)
		for range 20 {
			require.Equal(t, 200, postTraced(t, a, "pred_1", "", sampleSecret))
		}
		require.NoError(t, a.Stop())
		switch endpoint {
		case refusing.URL:
			families := gather(t, a, "hookspan_trace_spans_total")
			require.NotEmpty(t, families)
			lost, err := testutil.GatherAndCount(a.registry, "hookspan_trace_spans_total")
			require.NoError(t, err)
			require.Equal(t, 2, lost)
			require.Contains(t, logs.String(), "the collector of traces does not take spans")
			require.Equal(t, 1, strings.Count(logs.String(), "does not take spans"), "once a minute")
		case "no address":
			require.Contains(t, logs.String(), "OTEL_EXPORTER_OTLP_ENDPOINT is no address of a collector: write it as http://localhost:4318")
		}
	}
}

// What traces cost while webhooks are accepted, with a collector that takes them: none, a tenth
// of them, and each.
func BenchmarkAcceptTraced(b *testing.B) {
	for _, share := range []string{"off", "0.1", "1"} {
		b.Run(share, func(b *testing.B) {
			b.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
			b.Setenv("OTEL_TRACES_SAMPLER_ARG", share)
			endpoint := newCollector(b).url
			if share == "off" {
				endpoint = ""
			}
			a, _ := tracedApp(b, endpoint, strings.Replace(freePorts, "consumers:", "log: {deliveries: problems}\nconsumers:", 1))
			defer func() { require.NoError(b, a.Stop()) }()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			var n atomic.Int64
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					body := fmt.Sprintf(`{"id":"pred_%d","status":"processing"}`, n.Add(1))
					req, err := http.NewRequest(http.MethodPost, a.Ready().Webhooks["get3w"], strings.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					req.Header.Set(signing.Header, signing.Sign([]byte(body), []byte(sampleSecret)))
					res, err := client.Do(req)
					if err != nil || res.StatusCode != http.StatusOK {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "webhooks/s")
		})
	}
}
