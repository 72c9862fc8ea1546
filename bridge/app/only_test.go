package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
)

// A process that runs one consumer of two makes both durables, leaves the events of the other one
// to another process, and does not call it orphaned.
func TestOnlySomeConsumers(t *testing.T) {
	t.Parallel()
	const both = `consumers: {archive: {enabled: false}, here: {kind: exec, command: [/bin/true]}, there: {kind: exec, command: [/bin/true]}}`
	dir := t.TempDir()
	file := configFile(t, "data_dir: "+dir+`
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
`+both)
	opts := Options{File: file, Flags: config.Flags{Only: []string{"here"}}, Getenv: func(string) (string, bool) { return sampleSecret, true }}
	cfg, _, err := opts.load()
	require.NoError(t, err)
	a, err := New(cfg, opts)
	require.NoError(t, err)
	defer func() { require.NoError(t, a.Stop()) }()
	require.NoError(t, a.Start(t.Context()))
	require.Len(t, a.consumers, 1)
	require.True(t, accepts(t, a, "pred_1"))
	of := func() map[string]adminapi.ConsumerState {
		list, err := a.store.durables().List(t.Context())
		require.NoError(t, err)
		states := map[string]adminapi.ConsumerState{}
		for _, s := range list {
			states[s.Name] = s
		}
		return states
	}
	require.Eventually(t, func() bool { s := of()["here"]; return s.Delivered > 0 && s.Outstanding() == 0 }, time.Minute, 10*time.Millisecond)
	there := of()["there"]
	require.EqualValues(t, 1, there.Pending)
	require.False(t, there.Missing)
	require.False(t, there.Orphaned)
	require.NotEqual(t, consumerstate.Orphaned, there.State)

	for _, s := range a.configInForce().Settings {
		if s.Key == "only" {
			require.Equal(t, adminapi.Setting{Key: "only", Value: []any{"here"}, Flag: true}, s)
		}
	}
	a.reloader.reload()
	require.Empty(t, a.configInForce().Restart)
}
