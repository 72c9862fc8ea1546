package main

import (
	"net"
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

// The configuration is shown as it is used, and a check warns of what another process has.
func TestConfigShow(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, "ingress: {listen: \"127.0.0.1:0\"}\nadmin:\n  tokens: [{name: a, scopes: [read], secret: env:TOKEN}]\n")
	for _, args := range [][]string{{"config", "show", path}, {"config", "show", "--config", path}} {
		code, stdout, stderr := runWith(map[string]string{"TOKEN": secret}, args...)
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stdout, "  listen: \"127.0.0.1:0\"  # hookspan.yaml:1\n")
		require.Contains(t, stdout, "  deadline: 5s  # default\n")
		require.Contains(t, stdout, "secret: \"env:TOKEN\"")
		require.NotContains(t, stdout, secret)
	}
	code, stdout, _ := runVerb("--json", "config", "show", path)
	require.Equal(t, 0, code)
	require.Contains(t, stdout, `{"key":"ingress.listen","value":"127.0.0.1:0","line":1}`)
	code, _, stderr := runVerb("config", "show", writeConfig(t, "a: 1\n"))
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "hookspan.yaml:1:1")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	path = writeConfig(t, "data_dir: "+t.TempDir()+"\ningress: {listen: \""+taken.Addr().String()+"\"}\n")
	code, stdout, stderr = runVerb("config", "check", path)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "warning: "+path+":2:")
	require.Contains(t, stdout, "choose another one with ingress.listen")
	code, stdout, _ = runVerb("config", "check", "--no-secrets", path)
	require.Equal(t, 0, code)
	require.NotContains(t, stdout, "warning")
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
