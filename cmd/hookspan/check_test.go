package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
)

func TestConfigCheck(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := runVerb("config", "check")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "default configuration can be used")
	good, bad := writeConfig(t, "data_dir: x\n"), writeConfig(t, "a: 1\n")
	code, stdout, _ = runVerb("--json", "config", "check", good)
	require.Equal(t, 0, code)
	require.Contains(t, stdout, `"consumers":["archive"]`)
	for _, args := range [][]string{{"config", "check", bad}, {"config", "check", "--config", bad}} {
		code, _, stderr := runVerb(args...)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "hookspan.yaml:1:1")
	}
}

func TestConfigSchema(t *testing.T) {
	for _, args := range [][]string{{"config", "schema"}, {"--json", "config", "schema"}} {
		code, stdout, stderr := runVerb(args...)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, string(config.Schema()), stdout)
	}
}

// writeConfig returns the path of a configuration with the text.
func writeConfig(t testing.TB, text string) string {
	path := filepath.Join(t.TempDir(), "hookspan.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
