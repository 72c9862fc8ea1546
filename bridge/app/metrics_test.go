package app

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
)

// everyKind has a consumer of each kind.
const everyKind = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
sources: {get3w: {secrets: [env:GET3W_WEBHOOK_SECRET], api: {key: env:GET3W_WEBHOOK_SECRET, base_url: "http://127.0.0.1:1"}}}
consumers:
  archive: {kind: archive}
  handle: {kind: exec, command: [/bin/true]}
  team: {kind: pull}
`

// gather returns the metrics of an App by name, once every part of it has some.
func gather(t testing.TB, a *App, until ...string) map[string]*dto.MetricFamily {
	t.Helper()
	families := map[string]*dto.MetricFamily{}
	require.Eventually(t, func() bool {
		all, err := a.registry.Gather()
		require.NoError(t, err)
		for _, f := range all {
			families[f.GetName()] = f
		}
		return !slices.ContainsFunc(until, func(name string) bool { return families[name] == nil })
	}, time.Minute, 10*time.Millisecond)
	return families
}

// A scrape of a bridge with fifty consumers. It asks neither NATS nor the view, so it takes as
// long as writing the text does.
func BenchmarkScrape(b *testing.B) {
	text := everyKind
	for i := range 50 {
		text += fmt.Sprintf("  forward%d: {kind: forward, url: \"http://127.0.0.1:1/\", allow_private: true, secret: \"env:GET3W_WEBHOOK_SECRET\"}\n", i)
	}
	file := filepath.Join(b.TempDir(), "hookspan.yaml")
	require.NoError(b, os.WriteFile(file, []byte("data_dir: "+filepath.Join(b.TempDir(), "data")+text), 0o600))
	cfg, err := config.Load(file)
	require.NoError(b, err)
	a, err := New(cfg, Options{File: file, Log: io.Discard, Getenv: func(string) (string, bool) { return sampleSecret, true }})
	require.NoError(b, err)
	defer func() { require.NoError(b, a.Stop()) }()
	require.NoError(b, a.Start(b.Context()))
	gather(b, a, "hookspan_consumer_oldest_waiting_seconds", "hookspan_outputs_unarchived_predictions", "hookspan_stream_bytes")
	address, bytes := a.Ready().Admin+"/metrics", int64(0)
	for b.Loop() {
		res, err := http.Get(address)
		require.NoError(b, err)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(b, err)
		require.NoError(b, res.Body.Close())
		bytes = n
	}
	b.ReportMetric(float64(bytes), "B/scrape")
	http.DefaultClient.CloseIdleConnections()
}
