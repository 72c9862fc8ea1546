package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

const damagedConfig = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers:
  search-team: {kind: pull, filter: {status: completed}, start: new}
`

// teamDurable is what a program of another team asks for whenever it connects.
var teamDurable = jetstream.ConsumerConfig{
	Durable: "team", AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy,
	FilterSubject: "hookspan.events.*.prediction.completed.>",
}

// Whatever of the store's files is damaged while the bridge is down, it starts, and
// both a configured consumer and that of another team get the events that waited for
// them. Damage to durables is an alarm.
func TestDamagedStoreFolder(t *testing.T) {
	t.Parallel()
	const waiting = 20
	ctx := context.Background() // the parallel tests outlive that of this one
	dir := t.TempDir()
	p := serve(t, dir, damagedConfig)
	p.untilDurable("search-team")
	status, text := p.post(killBody("before"))
	require.Equal(t, 200, status, text)
	_, err := p.natsEnv().CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", teamDurable)
	require.NoError(t, err)
	for i := range waiting {
		status, text := p.post(killBody(fmt.Sprintf("pred_%d", i)))
		require.Equal(t, 200, status, text)
	}
	streams := filepath.Join("hookspan-data", "nats", "jetstream", "HOOKSPAN", "streams")
	for _, durable := range []string{"HOOKSPAN_LATER/obs/mover", "HOOKSPAN_ADVISORIES/obs/reaper"} {
		require.Eventually(t, func() bool {
			_, err := os.Stat(filepath.Join(dir, streams, durable, "o.dat"))
			return err == nil
		}, patience, 10*time.Millisecond, durable)
	}
	require.Equal(t, 0, p.stop(), p.logs)

	zero := func(t *testing.T, path string) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, make([]byte, info.Size()), 0o600))
	}
	remove := func(t *testing.T, path string) { require.NoError(t, os.RemoveAll(path)) }
	for what, c := range map[string]struct {
		path    string // below the folder of the streams
		damage  func(t *testing.T, path string)
		durable bool // durables are damaged
		stream  bool // descriptions of streams are
	}{
		"states of all durables zeroed":         {path: "*/obs/*/o.dat", damage: zero, durable: true},
		"states of all durables removed":        {path: "*/obs/*/o.dat", damage: remove, durable: true},
		"configurations of all durables zeroed": {path: "*/obs/*/meta.inf", damage: zero, durable: true},
		"folders of all durables removed":       {path: "*/obs", damage: remove, durable: true},
		"descriptions of all streams zeroed":    {path: "*/meta.inf", damage: zero, stream: true},
		"checksums of all streams removed":      {path: "*/meta.sum", damage: remove, stream: true},
		"indexes of all streams zeroed":         {path: "*/msgs/index.db", damage: zero},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			copied := t.TempDir()
			require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
			paths, err := filepath.Glob(filepath.Join(copied, streams, c.path))
			require.NoError(t, err)
			require.NotEmpty(t, paths)
			for _, path := range paths {
				c.damage(t, path)
			}
			p := serve(t, copied, damagedConfig)
			p.requireGets(p.as("search-team"), "search-team", waiting)
			team := p.natsEnv()
			_, err = team.CreateOrUpdateConsumer(ctx, "HOOKSPAN_EVENTS", teamDurable)
			require.NoError(t, err)
			p.requireGets(team, "team", waiting)
			for _, durable := range []string{"team", "search-team", "reaper", "mover"} {
				alarm := fmt.Sprintf("the durable %s of stream HOOKSPAN_", durable)
				if c.durable {
					require.Contains(t, p.logs.String(), alarm)
				} else {
					require.NotContains(t, p.logs.String(), alarm)
				}
			}
			const corrupt = "HOOKSPAN_EVENTS: the server could not read the description of the stream"
			require.Equal(t, c.stream, strings.Contains(p.logs.String(), corrupt), p.logs)
			status, text := p.post(killBody("after"))
			require.Equal(t, 200, status, text)
			require.Len(t, p.events(), waiting+2)
			require.Equal(t, 0, p.stop(), p.logs)
		})
	}
}

// untilDurable waits for what is made beside a bridge that is ready.
func (p *program) untilDurable(name string) {
	p.t.Helper()
	js := p.natsEnv()
	require.Eventually(p.t, func() bool {
		_, err := js.Consumer(p.t.Context(), "HOOKSPAN_EVENTS", name)
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
}

// requireGets reads until the predictions that wait have come, each at least once.
func (p *program) requireGets(js jetstream.JetStream, durable string, waiting int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", durable)
	require.NoError(p.t, err, p.logs)
	it, err := c.Messages(jetstream.PullExpiry(time.Second))
	require.NoError(p.t, err)
	defer it.Stop()
	missing := map[string]bool{}
	for i := range waiting {
		missing[fmt.Sprintf("pred_%d", i)] = true
	}
	for len(missing) > 0 {
		m, err := it.Next(jetstream.NextContext(ctx))
		require.NoError(p.t, err, "%s still waits for %v\n%s", durable, missing, p.logs)
		delete(missing, m.Headers().Get("ce-subject"))
		require.NoError(p.t, m.Ack())
	}
}
