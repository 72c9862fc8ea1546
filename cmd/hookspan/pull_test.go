package main

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

const pullConfig = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers:
  search-team: {kind: pull, filter: {status: completed}, lease: 5s, max_deliveries: 7}
  archive: {enabled: false}
  kept: {kind: archive, hosts: [127.0.0.1], allow_private: true}
`

// as connects as the program of a pull consumer does.
func (p *program) as(consumer string) jetstream.JetStream {
	p.t.Helper()
	return p.natsEnv("--consumer", consumer)
}

// A program in any language reads, has an event wait, and reads it again.
func TestPullConsumer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p := serveHere(t, pullConfig)
	js := p.as("search-team")
	var c jetstream.Consumer
	require.Eventually(t, func() bool { // its durable is made beside what is ready
		var err error
		c, err = js.Consumer(ctx, "HOOKSPAN_EVENTS", "search-team")
		return err == nil
	}, patience, 5*time.Millisecond)
	require.Equal(t, 7, c.CachedInfo().Config.MaxDeliver)
	require.Equal(t, 5*time.Second, c.CachedInfo().Config.AckWait)

	const body = `{"id":"pred_1","model":"google/nano","status":"completed","outputs":[]}`
	status, text := p.post(body)
	require.Equal(t, 200, status, text)
	m, err := c.Next()
	require.NoError(t, err)
	require.JSONEq(t, body, string(m.Data()))
	tail := strings.TrimPrefix(m.Subject(), "hookspan.events.")
	copied := &nats.Msg{Subject: "hookspan.later.search-team.1", Header: maps.Clone(m.Headers()), Data: m.Data()}
	copied.Header.Set("Nats-Schedule", "@at "+time.Now().UTC().Format(time.RFC3339))
	copied.Header.Set("Nats-Schedule-Target", "hookspan.due.search-team."+tail)
	_, err = js.PublishMsg(ctx, copied)
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(ctx))
	m, err = c.Next()
	require.NoError(t, err)
	require.Equal(t, "hookspan.again.search-team."+tail, m.Subject())
	require.NoError(t, m.DoubleAck(ctx))

	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err = js.Consumer(short, "HOOKSPAN_EVENTS", "kept")
	require.Error(t, err)

	require.Equal(t, 0, p.stop())
}

func TestNATSEnvOfAConsumer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := serve(t, dir, pullConfig)
	info, err := os.Stat(filepath.Join(dir, "hookspan-data", "secrets", "consumer-search-team"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	config := filepath.Join(dir, "hookspan.yaml")
	for consumer, want := range map[string]string{
		"kept": `no consumer "kept" of kind pull in the configuration: choose one of [search-team]`,
		"none": "choose one of [search-team]",
	} {
		_, err := command(t, dir, "nats-env", "--config", config, "--consumer", consumer).Output()
		require.Contains(t, stderrOf(t, err), want)
	}
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(pullConfig, "kept:", "new: {kind: pull}\n  kept:", 1)), 0o600))
	_, err = command(t, dir, "nats-env", "--config", config, "--consumer", "new").Output()
	require.Contains(t, stderrOf(t, err), "has no user consumer-new yet: restart it")
	require.Equal(t, 0, p.stop())
}

// stderrOf is the standard error of a program that ended with err.
func stderrOf(t *testing.T, err error) string {
	t.Helper()
	var failed *exec.ExitError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, exitFailed, failed.ExitCode())
	return string(failed.Stderr)
}
