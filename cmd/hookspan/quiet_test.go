package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/natstest"
)

// complaints are the lines of level warn and above.
func (p *program) complaints() (out []string) {
	p.t.Helper()
	for line := range strings.Lines(p.logs.String()) {
		var entry struct{ Level, Msg string }
		require.NoError(p.t, json.Unmarshal([]byte(line), &entry), line)
		if entry.Level != "debug" && entry.Level != "info" {
			out = append(out, line)
		}
	}
	return out
}

// A start, a restart and an end with which nothing is wrong are no reason to look at
// the log: no line of level warn or above.
func TestNothingWrongIsNoWarning(t *testing.T) {
	t.Parallel()
	const rest = `
ingress: {listen: "127.0.0.1:0", max_body: 512KiB}
admin: {listen: "127.0.0.1:0"}
consumers:
  search: {kind: pull}
  archive: {kind: archive}
  billing: {kind: forward, url: "https://billing.example.com/hooks", secret: "file:forward.secret", filter: {model: "nobodys/*"}}
  command: {kind: exec, command: [/bin/true]}
`
	external := natstest.NewExternal(t, nil)
	external.Start()
	for name, nats := range map[string]string{
		"embedded": `nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}`,
		"external": fmt.Sprintf(`nats: {url: %q, events: {max_bytes: 64MiB}}`, external.URL()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "forward.secret"), []byte(strings.Repeat("k", 32)), 0o600))
			for start, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGINT} {
				p := serve(t, dir, nats+rest)
				status, text := p.post(fmt.Sprintf(`{"id":"pred_%d","status":"processing"}`, start))
				require.Equal(t, 200, status, text)
				p.becomes(200, "")
				require.Eventually(t, p.leads, patience, 10*time.Millisecond, p.logs)
				require.Eventually(t, func() bool { return p.states()[fmt.Sprintf("pred_%d", start)].ID != "" }, patience, 10*time.Millisecond, p.logs)
				require.NoError(t, p.cmd.Process.Signal(signal))
				require.Zero(t, p.wait())
				require.Empty(t, p.complaints(), "start %d", start)
			}
		})
	}
}

// The log warns only of a real fault: that a source has no secret.
func TestMissingSecretIsTheOnlyWarning(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(smallConfig), 0o600))
	cmd := command(t, dir, "--json", "serve", "--config", "hookspan.yaml")
	for i, v := range cmd.Env {
		if strings.HasPrefix(v, "GET3W_WEBHOOK_SECRET=") {
			cmd.Env[i] = "GET3W_WEBHOOK_SECRET="
		}
	}
	p := start(t, dir, cmd)
	p.becomes(200, "")
	require.Zero(t, p.stop())
	said := p.complaints()
	require.Len(t, said, 2)
	require.Contains(t, said[0], "a secret is empty or not set")
	require.Contains(t, said[1], "NO SECRET")
}
