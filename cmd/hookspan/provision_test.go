package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/internal/natstest"
)

func provisioning(mode, config string) string {
	return strings.Replace(config, "nats: {", "nats: {provision: "+mode+", ", 1)
}

// writeIn writes the configuration of the folder.
func writeIn(t *testing.T, dir, config string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(config), 0o600))
}

// A bridge that only verifies makes nothing, and says what does.
func TestEmbeddedThatSomebodyProvisions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeIn(t, dir, provisioning("verify", pullConfig))
	code, _, stderr := verb(t, dir, "serve")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "stream HOOKSPAN_EVENTS: stream is not fit for events: it does not exist: make it with hookspan provision")

	code, stdout, stderr := verb(t, dir, "--json", "provision")
	require.Equal(t, exitDone, code, stderr)
	var done struct{ Streams, Consumers []app.Provisioned }
	require.NoError(t, json.Unmarshal([]byte(stdout), &done))
	require.Contains(t, done.Streams, app.Provisioned{Name: "HOOKSPAN_EVENTS", Created: true})
	require.Contains(t, done.Streams, app.Provisioned{Name: "KV_HOOKSPAN_ATTEMPTS", Created: true})
	require.Equal(t, []app.Provisioned{{Name: "kept", Created: true}, {Name: "search-team", Created: true}}, done.Consumers)
	code, stdout, _ = verb(t, dir, "provision")
	require.Equal(t, exitDone, code)
	require.Equal(t, "everything is as it is to be\n", stdout)

	p := serve(t, dir, provisioning("verify", pullConfig))
	code, _, stderr = verb(t, dir, "provision")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "in use")
	status, text := p.post(`{"id":"pred_1","model":"google/nano","status":"completed","outputs":[]}`)
	require.Equal(t, 200, status, text)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := p.as("search-team").Consumer(ctx, "HOOKSPAN_EVENTS", "search-team")
	require.NoError(t, err)
	m, err := c.Next()
	require.NoError(t, err)
	require.NoError(t, m.DoubleAck(ctx))
	app := p.natsEnv()
	require.Eventually(t, func() bool { // our own consumer only binds to its durable
		c, err := app.Consumer(ctx, "HOOKSPAN_EVENTS", "kept")
		return err == nil && c.CachedInfo().AckFloor.Stream == 1
	}, patience, 50*time.Millisecond)
	require.Equal(t, exitDone, p.stop())

	// Differences are reported and stay.
	writeIn(t, dir, strings.Replace(provisioning("verify", pullConfig), "max_deliveries: 7", "max_deliveries: 8", 1))
	p = start(t, dir, command(t, dir, "--json", "serve", "--config", "hookspan.yaml"))
	require.Eventually(t, func() bool { return strings.Contains(p.logs.String(), "max deliver from 7 to 8") }, patience, 5*time.Millisecond)
	c, err = p.natsEnv().Consumer(ctx, "HOOKSPAN_EVENTS", "search-team")
	require.NoError(t, err)
	require.Equal(t, 7, c.CachedInfo().Config.MaxDeliver)
	require.Equal(t, exitDone, p.stop())
	code, stdout, _ = verb(t, dir, "provision")
	require.Equal(t, exitDone, code)
	require.Equal(t, "consumer search-team changed: max deliver from 7 to 8\n", stdout)
}

// Until somebody has made the streams, what is accepted waits in the journal.
func TestExternalThatSomebodyProvisions(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"verify", "none"} {
		x := natstest.NewExternal(t, nil)
		x.Start()
		dir := t.TempDir()
		p := serve(t, dir, provisioning(mode, externalConfig(x)))
		status, text := p.post(killBody("pred_1"))
		require.Equal(t, 200, status, text)
		require.Contains(t, text, `"result":"spooled"`)
		_, err := x.JetStream().Stream(t.Context(), "HOOKSPAN_EVENTS")
		require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
		if mode == "verify" {
			require.Eventually(t, func() bool {
				return strings.Contains(p.logs.String(), "HOOKSPAN_EVENTS: there is no such stream: make it with hookspan provision")
			}, patience, 5*time.Millisecond)
		}
		code, _, stderr := verb(t, dir, "provision") // beside the bridge
		require.Equal(t, exitDone, code, stderr)
		require.Eventually(t, func() bool {
			stream, err := x.JetStream().Stream(t.Context(), "HOOKSPAN_EVENTS")
			return err == nil && stream.CachedInfo().State.Msgs == 1
		}, patience, 50*time.Millisecond, mode)
		require.Equal(t, exitDone, p.stop())
	}
}

func TestProvisionSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	x := natstest.NewExternal(t, nil)
	x.Start()
	dir := t.TempDir()
	writeIn(t, dir, externalConfig(x))
	_, err := x.JetStream().CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "HOOKSPAN_EVENTS", Subjects: []string{"hookspan.events.>"}, Storage: jetstream.MemoryStorage,
	})
	require.NoError(t, err)
	code, _, stderr := verb(t, dir, "provision")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "it keeps messages in Memory, not in files")
}
