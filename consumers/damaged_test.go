package consumers

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/durable"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A durable that an external server cannot read is reported with the remedy, and tried again
// until a person has repaired it.
func TestDurableThatItsServerCannotRead(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var store string
	x := natstest.NewExternal(t, func(o *server.Options) { store = o.StoreDir })
	x.Start()
	x.MakeStreams()
	names := []string{"worked", "kept"}
	for _, name := range names {
		_, err := durable.Definition{Name: name}.Provision(ctx, x.JetStream())
		require.NoError(t, err)
	}
	x.Stop()
	var folders []string
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(store, "jetstream/*/streams/HOOKSPAN_EVENTS/obs", name))
		require.NoError(t, err)
		require.Len(t, found, 1)
		folders = append(folders, found[0])
		require.NoError(t, os.WriteFile(filepath.Join(found[0], "o.dat"), make([]byte, 8), 0o600))
	}
	x.Start()

	core, logs := observer.New(zap.ErrorLevel)
	log, done := slog.New(zapslog.NewHandler(core)), make(chan error, 1)
	js := x.JetStream()
	worker, err := New(js, HandlerFunc(func(context.Context, *bridge.Event) error { return nil }), Config{Name: "worked", Logger: log})
	require.NoError(t, err)
	go func() { done <- worker.Run(ctx) }()

	_, err = durable.Definition{Name: "kept"}.Provision(ctx, js)
	require.ErrorIs(t, err, durable.ErrDamaged)
	require.ErrorContains(t, err, "remove the folder obs/kept of stream HOOKSPAN_EVENTS")
	require.Eventually(t, func() bool {
		said := 0
		for _, entry := range logs.FilterMessage("cannot fetch events, trying again").All() {
			if text, _ := entry.ContextMap()["error"].(string); strings.Contains(text, "remove the folder obs/worked of stream HOOKSPAN_EVENTS") {
				said++
			}
		}
		return said >= 2
	}, 30*time.Second, 10*time.Millisecond)

	x.Stop()
	for _, folder := range folders {
		require.NoError(t, os.RemoveAll(folder))
	}
	x.Start()
	require.Eventually(t, func() bool {
		_, err := js.Consumer(ctx, "HOOKSPAN_EVENTS", "worked")
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	_, err = durable.Definition{Name: "kept"}.Provision(ctx, js)
	require.NoError(t, err)
	cancel()
	require.NoError(t, <-done)
}
