package main

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/needs"
)

// The folder of an archive becomes read-only half way. Every place where a person looks says so
// and what to do, and all is archived once the folder is repaired.
func TestSimulateWithAnArchiveThatIsRepaired(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	store := filepath.Join(t.TempDir(), "archive")
	p := serveHere(t, simulatedConfig+`
consumers:
  archive: {kind: archive, store: "file://`+store+`", hosts: [127.0.0.1], allow_private: true, retry: {first: 100ms, max: 1s}}
`)
	const all = 60
	s := startSimulation(t.Context(), t, "--config", filepath.Join(p.dir, "hookspan.yaml"), "--count", "60", "--rate", "20", "--outputs", "1", "--status", "completed", "--wait", "5m")
	require.Eventually(t, func() bool { return manifests(t, store) >= all/6 }, patience, 20*time.Millisecond, p.logs)
	require.NoError(t, unix.Mount(store, store, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(store, unix.MNT_DETACH) }) // of a test that failed
	require.Eventually(t, func() bool {
		return unix.Mount("", store, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "") == nil // while nothing is being written
	}, patience, 5*time.Millisecond)

	require.Eventually(t, func() bool { return p.state("archive").State == consumerstate.Blocked }, patience, 20*time.Millisecond, p.logs)
	why := store + " cannot be written: read-only file system"
	const remedy = "; repair that, or change consumers.archive.store"
	require.Regexp(t, `(?m)^archive .* blocked since .*: `+why+remedy, p.says("consumers", "list"))
	require.Eventually(t, func() bool {
		return strings.Contains(p.says("alarms", "--active", "--kind", "archive_failed"), "archive waits: "+why+remedy+": events wait meanwhile")
	}, patience, 20*time.Millisecond, p.logs)
	code, stdout, stderr := runVerb("doctor", "--api", p.ready.Admin)
	require.Equal(t, exitFailed, code, stderr)
	require.Contains(t, stdout, "problem  archive archive: the archive cannot be written: this user may not write into "+store)
	require.Contains(t, stdout, "         -> repair consumers.archive.store before the provider deletes the outputs")
	var list adminapi.PredictionList
	shown := ""
	require.Eventually(t, func() bool {
		p.verb(&list, "predictions", "list", "--limit", "1")
		shown = p.says("predictions", "show", list.Predictions[0].ID)
		return strings.Contains(shown, "  archive      blocked")
	}, patience, 20*time.Millisecond, &shown)
	require.Contains(t, shown, "output 0   pending")
	require.Contains(t, shown, why)
	require.Contains(t, shown, "Repair what the reason names: the consumer tries it by itself, and takes what waits once that is done.")

	before := manifests(t, store)
	require.Less(t, before, all)
	require.NoError(t, unix.Unmount(store, unix.MNT_DETACH))
	code, r := s.end(t)
	require.Equal(t, exitDone, code, "%+v\n%s", r, p.logs)
	require.Equal(t, all, r.Outputs.Archived, "%+v\n%s", r, p.logs)
	require.Equal(t, all, manifests(t, store))
	require.Eventually(t, func() bool { return !strings.Contains(p.says("alarms", "--active"), "archive_failed") }, patience, 20*time.Millisecond)
	require.Equal(t, 0, p.stop(), p.logs)
}

// manifests counts the events that an archive has.
func manifests(t *testing.T, store string) (n int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(store, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "manifest.json" {
			n++
		}
		return err
	}))
	return n
}
