package durablerepair_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/datafolder"
	"github.com/hookspan/hookspan/bridge/internal/stream/durablerepair"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
)

// A bounded number of damaged files is kept.
func TestDamagedFilesAreSetAside(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	garbage := []byte("garbage")
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	for range durablerepair.KeptDamaged + 3 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, eventsFolder, "obs/team/o.dat"), garbage, 0o600))
		require.NoError(t, examine(folder))
	}
	require.NoError(t, folder.Close())
	aside, err := filepath.Glob(filepath.Join(dir, "nats/damaged/*.HOOKSPAN_EVENTS.team/o.dat"))
	require.NoError(t, err)
	require.Len(t, aside, durablerepair.KeptDamaged)
	text, err := os.ReadFile(aside[0])
	require.NoError(t, err)
	require.Equal(t, garbage, text)
	b, _ := reopen(t, dir, streamtest.Listening(), func(string) {})
	requireWaiting(t, b, "team")
}

// A folder without damage is not touched.
func TestHealthyDurablesAreLeftAlone(t *testing.T) {
	t.Parallel()
	dir := halfHandled(t)
	folder, err := datafolder.Open(dir)
	require.NoError(t, err)
	old := snapshot(t, dir)
	require.NoError(t, examine(folder))
	require.Equal(t, old, snapshot(t, dir))
	require.NoError(t, folder.Close())
	b, alarms := reopen(t, dir, streamtest.Listening(), func(string) {})
	require.Empty(t, alarms.All())
	require.NoDirExists(t, filepath.Join(b.Folder.Dir(), "nats/damaged"))
	for _, name := range readers {
		require.Greater(t, requireWaiting(t, b, name), uint64(before+handled))
	}
}

// Every possible cut of a state is found, also those that the server accepts, and by which it
// forgets which events are not acknowledged.
func TestCutStateIsFound(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(halfHandled(t), eventsFolder, "obs/team/o.dat"))
	require.NoError(t, err)
	require.NoError(t, durablerepair.CheckState(text))
	for n := range text {
		require.Error(t, durablerepair.CheckState(text[:n]), "cut to %d of %d bytes", n, len(text))
	}
	require.Error(t, durablerepair.CheckState(append(slices.Clone(text), 0)))
	require.Error(t, durablerepair.CheckState(bytes.Repeat([]byte{0}, len(text))))
	for _, next := range []uint64{1, 2, 1 << 40} {
		require.NoError(t, durablerepair.CheckState(durablerepair.EncodeState(next)))
	}
}
