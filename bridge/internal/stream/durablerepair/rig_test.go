package durablerepair_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream"
	"github.com/hookspan/hookspan/bridge/internal/stream/durablerepair"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/natstest"
)

const (
	patience     = time.Minute
	eventsFolder = "nats/jetstream/HOOKSPAN/streams/HOOKSPAN_EVENTS"
	// Events stored before there was a durable, acknowledged ones, and unhandled ones.
	before, handled, waiting = 10, 10, 20
)

var damages = map[string]func(t *testing.T, path string){
	"zeroed": func(t *testing.T, path string) {
		rewrite(t, path, func(b []byte) []byte { return make([]byte, len(b)) })
	},
	"cut to half":    func(t *testing.T, path string) { rewrite(t, path, func(b []byte) []byte { return b[:len(b)/2] }) },
	"cut to a byte":  func(t *testing.T, path string) { rewrite(t, path, func(b []byte) []byte { return b[:1] }) },
	"cut to nothing": func(t *testing.T, path string) { rewrite(t, path, func([]byte) []byte { return nil }) },
	"removed":        removeAll,
}

func removeAll(t *testing.T, path string) { require.NoError(t, os.RemoveAll(path)) }

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, change(slices.Clone(text)), 0o600))
}

// readers are a configured consumer, and one that a program made.
var readers = []string{"archive", "team"}

func readerConfig(name string) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: name, AckPolicy: jetstream.AckExplicitPolicy, DeliverPolicy: jetstream.DeliverNewPolicy, AckWait: time.Second,
		FilterSubjects: []string{"hookspan.events.>", "hookspan.again." + name + ".>"},
	}
}

// readerJS returns the connection of that consumer's program.
func readerJS(b *streamtest.Bench, name string) jetstream.JetStream {
	if name == "archive" {
		return b.JS
	}
	return b.App()
}

// halfHandled returns a data folder with events that its readers have partly handled.
func halfHandled(t *testing.T) string {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	b := streamtest.StartIn(t, dir, streamtest.Listening())
	pub := b.Publisher()
	sent := 0
	publish := func(n int) {
		for range n {
			sent++
			_, err := pub.Publish(ctx, natstest.Event(fmt.Sprintf("pred_%d", sent)))
			require.NoError(t, err)
		}
	}
	publish(before)
	for _, name := range readers {
		_, err := readerJS(b, name).CreateOrUpdateConsumer(ctx, b.Names.EventsStream(), readerConfig(name))
		require.NoError(t, err)
	}
	publish(handled + waiting)
	for _, name := range readers {
		c, err := readerJS(b, name).Consumer(ctx, b.Names.EventsStream(), name)
		require.NoError(t, err)
		// Some are with a worker that never acknowledges.
		batch, err := c.Fetch(handled + 5)
		require.NoError(t, err)
		for msg := range batch.Messages() {
			meta, err := msg.Metadata()
			require.NoError(t, err)
			if meta.Sequence.Stream <= before+handled {
				require.NoError(t, msg.DoubleAck(ctx))
			}
		}
	}
	require.NoError(t, b.Server.RestoreDurables(ctx, &natstest.Alarms{}))
	b.Stop()
	return dir
}

// reopen starts the server on a copy of the folder, changed by change.
func reopen(t *testing.T, dir string, cfg stream.EmbeddedConfig, change func(dir string)) (*streamtest.Bench, *natstest.Alarms) {
	t.Helper()
	ctx, copied, alarms := context.Background(), t.TempDir(), &natstest.Alarms{}
	require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
	change(copied)
	b := streamtest.StartIn(t, copied, cfg)
	require.NoError(t, b.Server.RestoreDurables(ctx, alarms))
	return b, alarms
}

// examine examines the durables as a starting server does.
func examine(folder *datafolder.Folder) error {
	return durablerepair.New(durablerepair.Config{
		Streams: folder.Path("nats/jetstream/HOOKSPAN/streams"), Damaged: folder.Path("nats/damaged"), Account: "HOOKSPAN",
		Memory: folder.Memory("durables.json"), Log: zap.NewNop(),
	}).Examine()
}

func requireWaiting(t *testing.T, b *streamtest.Bench, name string) (first uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := readerJS(b, name).CreateOrUpdateConsumer(ctx, b.Names.EventsStream(), readerConfig(name))
	require.NoError(t, err)
	it, err := c.Messages(jetstream.PullExpiry(time.Second))
	require.NoError(t, err)
	defer it.Stop()
	got := map[uint64]bool{}
	missing := func() bool {
		for seq := uint64(before + handled + 1); seq <= before+handled+waiting; seq++ {
			if !got[seq] {
				return true
			}
		}
		return false
	}
	for missing() {
		msg, err := it.Next(jetstream.NextContext(ctx))
		require.NoError(t, err, "%s got %v", name, got)
		meta, err := msg.Metadata()
		require.NoError(t, err)
		if first == 0 {
			first = meta.Sequence.Stream
		}
		got[meta.Sequence.Stream] = true
		require.NoError(t, msg.Ack())
	}
	return first
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	}))
	return out
}
