package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/needs"
)

type composeFile struct {
	Services map[string]struct {
		Image       string
		Profiles    []string
		Volumes     []string
		Environment map[string]string
	}
	Volumes map[string]any
}

func readCompose(t *testing.T) (c composeFile) {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(deployFile(t, "compose.yaml")))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &c))
	return c
}

// What compose.yaml mounts is there, and without a profile one bridge starts.
func TestComposeMountsWhatIsThere(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	var alone []string
	for name, service := range c.Services {
		require.NotEmpty(t, service.Image, name)
		if len(service.Profiles) == 0 {
			alone = append(alone, name)
		}
		for _, volume := range service.Volumes {
			source, _, found := strings.Cut(volume, ":")
			require.True(t, found, volume)
			if strings.HasPrefix(source, "./") {
				require.FileExists(t, filepath.Join("..", "..", "deploy", source))
			} else {
				require.Contains(t, c.Volumes, source, name)
			}
		}
	}
	require.Equal(t, []string{"hookspan"}, alone)
	require.Contains(t, deployFile(t, "Dockerfile"), `CMD ["/hookspan", "health"]`)
}

// The files that compose.yaml mounts can be used: by a bridge, by a nats-server, which syncs what
// it acknowledges, and by Prometheus, which asks the bridges by names that they know.
func TestFilesOfComposeCanBeUsed(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "promtool")
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", strings.Replace(deployFile(t, "compose/cluster.yaml"), "/data/", dir+"/", 1))
	check := command(t, dir, "config", "check", "--json", "hookspan.yaml")
	check.Env = append(check.Env, "NATS_PASSWORD=secret-of-nats", "HOOKSPAN_TOKEN="+strings.Repeat("t", 32))
	said, err := check.CombinedOutput()
	require.NoError(t, err, "%s", said)

	cfg, err := config.Load(filepath.Join(dir, "hookspan.yaml"))
	require.NoError(t, err)
	conf := filepath.Join(dir, "nats.conf")
	require.NoError(t, os.WriteFile(conf, []byte(strings.ReplaceAll(deployFile(t, "compose/nats.conf"), "$NATS_PASSWORD", "secret")), 0o600))
	opts, err := server.ProcessConfigFile(conf)
	require.NoError(t, err)
	require.True(t, opts.SyncAlways)
	require.GreaterOrEqual(t, int64(opts.MaxPayload), int64(cfg.Ingress.MaxBody)+64<<10)
	require.Equal(t, "/data", opts.StoreDir)
	require.Len(t, opts.Routes, 3)
	for _, route := range opts.Routes {
		require.Contains(t, readCompose(t).Services, route.Hostname())
		require.Contains(t, deployFile(t, "compose/cluster.yaml"), "nats://"+route.Hostname()+":4222")
	}

	put(t, dir, "alerts.yaml", deployFile(t, "prometheus/alerts.yaml"))
	put(t, dir, "prometheus.yaml", strings.ReplaceAll(deployFile(t, "compose/prometheus.yaml"), "/etc/prometheus/", dir+"/"))
	out, err := exec.Command("promtool", "check", "config", filepath.Join(dir, "prometheus.yaml")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, deployFile(t, "compose/prometheus.yaml"), `["bridge-1:8081", "bridge-2:8081"]`)
	require.Contains(t, deployFile(t, "compose/cluster.yaml"), `hosts: [bridge-1, bridge-2]`)
}
