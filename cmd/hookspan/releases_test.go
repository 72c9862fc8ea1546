package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/consumerstate"
	"github.com/hookspan/hookspan/internal/natstest"
)

// nextRelease is the release whose data TestDataOfTheNextRelease makes with -update. Once it is
// out, its file stays as it is, and this is the release after it.
const nextRelease = "v0.1.0"

const releases = "testdata/releases"

// What a release leaves behind: a bridge with its own NATS, in the folder bridge, that has handled
// an event, given one up, put one off and one in the quarantine; and an ingress, in the folder
// ingress, whose journal has an event that its NATS has not. The two commands of the first decide
// what becomes of their events; the spread delay of the last is always one that outlives its
// durable (consumers.ShortRetryDelay).
const releasedBridge = `
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
consumers:
  archive: {enabled: false}
  works: {kind: exec, start: all, filter: {status: completed}, command: [/bin/true]}
  broken: {kind: exec, start: all, filter: {status: failed}, command: [%[1]s]}
  patient: {kind: exec, start: all, filter: {status: canceled}, command: [%[1]s], retry: {first: 5m, max: 5m}}
`

const (
	releasedDone         = `{"id":"done","model":"google/veo","status":"completed","outputs":[]}`
	releasedGivenUp      = `{"id":"given_up","model":"google/veo","status":"failed","error":"no"}`
	releasedPutOff       = `{"id":"put_off","status":"canceled"}`
	releasedUnreadable   = `{"id":`
	releasedInTheJournal = `{"id":"in_the_journal","status":"failed"}`
)

// makeRelease fills both folders.
func makeRelease(t *testing.T, dir string) {
	t.Helper()
	for _, folder := range []string{"bridge", "ingress"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o750))
	}
	p := serve(t, filepath.Join(dir, "bridge"), fmt.Sprintf(releasedBridge, `/bin/sh, -c, 'case $HOOKSPAN_CONSUMER in broken) exit 65;; *) exit 75;; esac'`))
	for _, body := range []string{releasedDone, releasedGivenUp, releasedPutOff, releasedUnreadable} {
		status, text := p.post(body)
		require.Equal(t, 200, status, text)
	}
	require.Eventually(t, func() bool {
		var kept adminapi.KeptList
		p.quarantine(&kept, "list")
		return p.state("works").State == consumerstate.Current && p.state("broken").Dead == 1 && p.state("patient").Later == 1 && len(kept.Entries) == 1
	}, patience, 50*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)

	p = serve(t, filepath.Join(dir, "ingress"), externalConfig(natstest.NewExternal(t, nil))) // which never starts
	status, text := p.post(releasedInTheJournal)
	require.Equal(t, 200, status, text)
	require.Equal(t, 0, p.stop(), p.logs)
}

// openRelease goes on with both folders, with commands that work.
func openRelease(t *testing.T, dir string) {
	t.Helper()
	data := filepath.Join(dir, "bridge", "hookspan-data")
	made, err := os.Stat(filepath.Join(data, "format"))
	require.NoError(t, err)
	// The messages have the age that they had when the release was stopped.
	for _, stream := range []string{"HOOKSPAN_EVENTS", "HOOKSPAN_DEAD", "HOOKSPAN_QUARANTINE"} {
		require.NoError(t, rig.Try(func() { rig.AgeStream(filepath.Join(data, "nats"), stream, -time.Since(made.ModTime())) }))
	}
	handled := filepath.Join(dir, "handled")
	p := serve(t, filepath.Join(dir, "bridge"), fmt.Sprintf(releasedBridge, `/bin/sh, -c, 'echo $HOOKSPAN_CONSUMER $HOOKSPAN_PREDICTION_ID >>"$1"', sh, "`+handled+`"`))
	var ids []string
	var events adminapi.EventList
	p.verb(&events, "events", "list")
	for _, e := range events.Events {
		ids = append(ids, e.Prediction)
	}
	require.Subset(t, ids, []string{"done", "given_up", "put_off"})

	var dead adminapi.DeadLetterList
	p.verb(&dead, "dead", "list")
	require.Len(t, dead.Letters, 1)
	require.Equal(t, "broken", dead.Letters[0].Consumer)
	require.Equal(t, bridge.DeadPermanent, dead.Letters[0].Cause)
	var kept adminapi.KeptList
	p.quarantine(&kept, "list")
	require.Len(t, kept.Entries, 1)
	require.Equal(t, "syntax", kept.Entries[0].Cause)
	p.says("dead", "redrive", "--consumer", "broken", "--yes")

	status, text := p.post(releasedDone)
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"result":"duplicate"`)
	status, text = p.post(strings.Replace(releasedDone, "done", "new", 1))
	require.Equal(t, 200, status, text)
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(handled)
		return strings.Contains(string(text), "broken given_up") && strings.Contains(string(text), "patient put_off") && p.state("works").State == consumerstate.Current
	}, patience, 50*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)

	x := natstest.NewExternal(t, nil)
	x.Start()
	p = serve(t, filepath.Join(dir, "ingress"), externalConfig(x))
	require.Eventually(t, func() bool {
		stream, err := x.JetStream().Stream(t.Context(), "HOOKSPAN_EVENTS")
		return err == nil && stream.CachedInfo().State.Msgs == 1
	}, patience, 50*time.Millisecond, p.logs)
	require.Equal(t, 0, p.stop(), p.logs)
}

// The data of every release can be used by this program.
func TestDataOfEveryRelease(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(releases, "*.tar.gz"))
	require.NoError(t, err)
	require.Contains(t, files, filepath.Join(releases, nextRelease+".tar.gz"), "make it with -run TestDataOfTheNextRelease -update")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".tar.gz"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			unpack(t, file, dir)
			openRelease(t, dir)
		})
	}
}

// The data that this program leaves behind is what the next release leaves behind. -update keeps
// it.
func TestDataOfTheNextRelease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeRelease(t, dir)
	if *writeDocs {
		pack(t, dir, filepath.Join(releases, nextRelease+".tar.gz"))
	}
}

// pack leaves out what each start makes, and passwords.
func pack(t *testing.T, dir, file string) {
	t.Helper()
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	out := tar.NewWriter(zipped)
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		require.NoError(t, err)
		if name := entry.Name(); name == "secrets" && entry.IsDir() {
			return filepath.SkipDir
		} else if entry.IsDir() || name == "lock" || strings.HasPrefix(name, "view.db") {
			return nil
		}
		info, err := entry.Info()
		require.NoError(t, err)
		head, err := tar.FileInfoHeader(info, "")
		require.NoError(t, err)
		head.Name, err = filepath.Rel(dir, path)
		require.NoError(t, err)
		head.Uname, head.Gname, head.Uid, head.Gid = "", "", 0, 0
		require.NoError(t, out.WriteHeader(head))
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = out.Write(text)
		return err
	}))
	require.NoError(t, out.Close())
	require.NoError(t, zipped.Close())
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, packed.Bytes(), 0o644))
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	packed, err := os.Open(file)
	require.NoError(t, err)
	defer func() { _ = packed.Close() }()
	zipped, err := gzip.NewReader(packed)
	require.NoError(t, err)
	in := tar.NewReader(zipped)
	for head, err := in.Next(); err != io.EOF; head, err = in.Next() {
		require.NoError(t, err)
		path := filepath.Join(dir, head.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, text, head.FileInfo().Mode()))
		require.NoError(t, os.Chtimes(path, head.ModTime, head.ModTime))
	}
}
