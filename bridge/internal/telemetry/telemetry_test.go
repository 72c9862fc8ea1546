package telemetry_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/telemetry"
)

func TestLogIsWrittenAndCounted(t *testing.T) {
	var out bytes.Buffer
	reg := prometheus.NewRegistry()
	log, err := telemetry.NewLogger(telemetry.LogConfig{}, &out, reg)
	require.NoError(t, err)
	log.Debug("not written")
	log.Info("one")
	log.Warn("two", zap.String("k", "v"))
	log.Named("part").With(zap.Int("n", 1)).Error("three")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	var line map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[1]), &line))
	require.Equal(t, "two", line["msg"])
	require.Equal(t, "v", line["k"])
	require.NoError(t, testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP hookspan_log_lines_total Lines of the log that a person should look at, by level.
# TYPE hookspan_log_lines_total counter
hookspan_log_lines_total{level="error"} 1
hookspan_log_lines_total{level="warn"} 1
`)))
}

func TestLogSettings(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(telemetry.LogConfig{Level: "error", Format: telemetry.FormatConsole}, &out, prometheus.NewRegistry())
	require.NoError(t, err)
	log.Warn("not written")
	log.Error("written")
	require.Regexp(t, `^\d\d:\d\d:\d\d\terror\twritten\n`, out.String())
	for _, bad := range []telemetry.LogConfig{{Level: "loud"}, {Format: "xml"}} {
		_, err := telemetry.NewLogger(bad, &out, prometheus.NewRegistry())
		require.Error(t, err)
	}
}

func TestRegistryKnowsTheProcess(t *testing.T) {
	reg, err := telemetry.NewRegistry(telemetry.Build{Version: "v1.2.3", NATS: "2.15.2"})
	require.NoError(t, err)
	families, err := reg.Gather()
	require.NoError(t, err)
	seen := map[string]string{}
	for _, f := range families {
		seen[f.GetName()] = f.GetMetric()[0].String()
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "hookspan_build_info"} {
		require.Contains(t, seen, name)
	}
	for _, label := range []string{"v1.2.3", "2.15.2", "go_version"} {
		require.Contains(t, seen["hookspan_build_info"], label)
	}
}
