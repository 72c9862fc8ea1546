package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/needs"
)

// systemd has no complaint about the units, and finds little that the service may do: an exposure
// of 1.5 at most, of 10.
func TestUnitsOfSystemd(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "systemd-analyze")
	dir := t.TempDir()
	service := deployFile(t, "hookspan.service")
	require.Contains(t, service, "\nExecStart=/usr/local/bin/hookspan serve --config /etc/hookspan/hookspan.yaml\n")
	put(t, dir, "hookspan.service", strings.ReplaceAll(service, "/usr/local/bin/hookspan", "/bin/true")) // it must be there
	put(t, dir, "hookspan.socket", deployFile(t, "hookspan.socket"))
	unit := filepath.Join(dir, "hookspan.service")
	said, err := exec.Command("systemd-analyze", "verify", "--man=no", unit, filepath.Join(dir, "hookspan.socket")).CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.Empty(t, string(said))
	said, err = exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", unit).CombinedOutput()
	require.NoError(t, err, "%s", said)
}

// The configuration of the packages reads the credential that the unit loads, and keeps its data
// where the unit lets it.
func TestConfigurationOfTheUnit(t *testing.T) {
	t.Parallel()
	const credential = "/run/credentials/hookspan.service/get3w"
	cfg, err := config.Load(filepath.Join("..", "..", "deploy", "hookspan.yaml"))
	require.NoError(t, err)
	require.Equal(t, []config.SecretRef{"file:" + credential}, cfg.Sources["get3w"].Secrets)
	service := deployFile(t, "hookspan.service")
	require.Contains(t, service, "\nLoadCredential="+filepath.Base(credential)+":")
	require.Contains(t, service, "\nStateDirectory="+strings.Split(strings.TrimPrefix(cfg.DataDir, "/var/lib/"), "/")[0]+"\n")

	dir := t.TempDir()
	put(t, dir, "get3w", "")
	put(t, dir, "hookspan.yaml", strings.NewReplacer(credential, filepath.Join(dir, "get3w"), cfg.DataDir, filepath.Join(dir, "data"), `":8080"`, `"127.0.0.1:0"`).
		Replace(deployFile(t, "hookspan.yaml"))+"\nadmin: {listen: \"127.0.0.1:0\"}\nnats: {listen: \"127.0.0.1:0\"}\n")
	check := command(t, dir, "config", "check", "hookspan.yaml")
	said, err := check.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), "get3w", "%s", os.Args[0])
	put(t, dir, "get3w", secret)
	check = command(t, dir, "config", "check", "hookspan.yaml")
	said, err = check.CombinedOutput()
	require.NoError(t, err, "%s", said)
}
