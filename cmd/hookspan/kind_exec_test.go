package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// From a webhook to a command, which sees the body and no secret of the bridge.
func TestWebhookRunsACommand(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), t.TempDir()
	left := filepath.Join(dir, "hookspan-data", "exec", "sizes", "attempt-1")
	require.NoError(t, os.MkdirAll(left, 0o700))
	p := serve(t, dir, strings.ReplaceAll(smallConfig, "consumers: {archive: {enabled: false}}", "")+`
consumers:
  sizes:
    kind: exec
    start: all
    command: [/bin/sh, -c, 'cat >"$1/body"; pwd >"$1/pwd"; cat /proc/$$/environ >"$1/x"; mv "$1/x" "$1/environ"', sh, "`+out+`"]
`)
	require.NoDirExists(t, left)
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(out, "environ"))
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		return string(text)
	}
	require.Equal(t, documented, read("body")) //nolint:testifylint // byte for byte, not JSON for JSON
	require.Equal(t, filepath.Join(dir, "hookspan-data", "exec", "sizes"), filepath.Dir(strings.TrimSpace(read("pwd"))))
	environ := read("environ")
	require.Contains(t, environ, "HOOKSPAN_PREDICTION_ID=pred_abc123\x00")
	require.Contains(t, environ, "HOOKSPAN_CONSUMER=sizes\x00")
	require.Contains(t, "\x00"+environ, "\x00PATH=")
	require.NotContains(t, environ, secret)
	require.NotContains(t, environ, asHookspan)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), secret)
	list, err := os.ReadDir(filepath.Dir(left))
	require.NoError(t, err)
	require.Empty(t, list)
}
