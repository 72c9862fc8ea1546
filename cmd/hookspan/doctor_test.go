package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// doctored runs the verb twice, for programs and for people, and holds the exit code against the
// grade.
func doctored(t *testing.T, dir string, args ...string) (d adminapi.Doctor, text string) {
	t.Helper()
	code, stdout, stderr := verbIn(t, dir, nil, append([]string{"--json", "doctor"}, args...)...)
	require.NoError(t, json.Unmarshal([]byte(stdout), &d), stdout+stderr)
	require.Equal(t, d.Grade == adminapi.GradeUnsafe, code == 1, stdout)
	code, text, stderr = verbIn(t, dir, nil, append([]string{"doctor"}, args...)...)
	require.Equal(t, d.Grade == adminapi.GradeUnsafe, code == 1, text+stderr)
	require.True(t, strings.HasPrefix(text, d.Grade+": "), text)
	require.NotContains(t, stdout+text, secret)
	return d, text
}

// Without a bridge the verb examines the configuration and says what needs a bridge; with one the
// bridge examines itself.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {archive: {store: \"file://"+dir+"/archive\"}}", 1)
	put(t, dir, "hookspan.yaml", text)
	d, shown := doctored(t, dir)
	require.NotEmpty(t, d.Unknown)
	require.Contains(t, shown, "unknown  alarms, duplicate_window, open_files, ready, streams, view: it needs a bridge that runs")
	require.Contains(t, shown, "warning  outage get3w: ")
	require.Contains(t, shown, "         -> set sources.get3w.api.key")
	require.NoDirExists(t, filepath.Join(dir, "hookspan-data"))

	p := serve(t, dir, text)
	for _, args := range [][]string{nil, {"--config", "hookspan.yaml"}, {"--api", p.ready.Admin}} {
		d, shown = doctored(t, dir, args...)
		require.Empty(t, d.Unknown)
		require.Contains(t, shown, "ok       archive archive: a file was written there and removed")
	}
	require.Equal(t, 0, p.stop(), p.logs)

	require.NoError(t, os.RemoveAll(filepath.Join(dir, "archive")))
	put(t, dir, "archive", "")
	d, shown = doctored(t, dir)
	require.Equal(t, adminapi.GradeUnsafe, d.Grade)
	require.Contains(t, shown, "problem  archive archive: the archive cannot be written: "+dir+"/archive is not a folder")

	code, _, stderr := verbIn(t, filepath.Join(dir, "hookspan-data"), nil, "doctor")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "name that with --config")
	code, _, stderr = verbIn(t, dir, nil, "doctor", "--api", "http://127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "is it running")
}
