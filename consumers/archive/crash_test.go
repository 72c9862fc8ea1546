package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

const half = 1 << 20

// hanging serves half of a body, tells so, and waits for the client to go; with
// whole set it serves all of it.
func hanging(whole *atomic.Bool, sent chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(2*half))
		_, _ = w.Write(make([]byte, half))
		if whole.Load() {
			_, _ = w.Write(make([]byte, half))
			return
		}
		_ = http.NewResponseController(w).Flush()
		sent <- struct{}{}
		<-r.Context().Done()
	}
}

func TestEndsInMidDownload(t *testing.T) {
	t.Parallel()
	var whole atomic.Bool
	sent := make(chan struct{})
	srv := serve(t, hanging(&whole, sent))
	b := setup(t, nil)
	ev := newEvent("p", "text", srv.URL+"/a.png")
	cause := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-sent
		cancel(cause)
	}()
	require.Equal(t, cause, b.Handle(ctx, ev))
	dir := folder(b.dir, "p")
	require.Equal(t, []string{"0.txt", eventName, signatureName}, names(t, dir))
	first := snapshot(t, filepath.Join(dir, "0.txt"))

	whole.Store(true)
	require.NoError(t, b.handle(ev))
	require.Len(t, readFile(t, dir, "1.png"), 2*half)
	require.Equal(t, first, snapshot(t, filepath.Join(dir, "0.txt")))
	require.Len(t, readManifest(t, dir).Outputs, 2)
}

func TestKilledInMidDownload(t *testing.T) {
	t.Parallel()
	var whole atomic.Bool
	sent := make(chan struct{})
	srv := serve(t, hanging(&whole, sent))
	b := setup(t, nil)
	cmd := exec.CommandContext(t.Context(), os.Args[0], childHandle, b.dir, srv.URL+"/a.png")
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	<-sent
	dir := folder(b.dir, "p")
	require.Eventually(t, func() bool {
		left := temporaries(t, b.dir)
		return len(left) == 1 && strings.HasPrefix(filepath.Base(left[0]), "1.png.")
	}, 10*time.Second, time.Millisecond)
	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Len(t, temporaries(t, b.dir), 1)
	require.NoFileExists(t, filepath.Join(dir, "1.png"))
	require.NoFileExists(t, filepath.Join(dir, manifestName))

	whole.Store(true)
	require.NoError(t, b.handle(newEvent("p", "text", srv.URL+"/a.png")))
	require.Equal(t, []string{"0.txt", "1.png", eventName, signatureName, manifestName}, names(t, dir))
	require.Len(t, readFile(t, dir, "1.png"), 2*half)
}

func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "whole") })
	b := setup(t, nil)
	dir := folder(b.dir, "p")
	require.NoError(t, os.MkdirAll(dir, 0o750))
	for _, name := range []string{"0.png.18ab.tmp", "manifest.json.1.tmp", "event.json.2f.tmp", "event.signature.3.tmp", "0.part", "0.part.json", "notes.tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("par"), 0o600))
	}
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")))
	require.Equal(t, []string{"0.png", eventName, signatureName, manifestName, "notes.tmp"}, names(t, dir))
	require.Equal(t, "whole", readFile(t, dir, "0.png"))
}

// An output that an earlier attempt stored is not asked for again, although its
// extension came from the answer.
func TestStoredOutputsAreKept(t *testing.T) {
	t.Parallel()
	var asked, broken atomic.Int32
	broken.Store(1)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" && broken.Load() > 0 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		asked.Add(1)
		w.Header().Set("Content-Type", "image/gif")
		_, _ = io.WriteString(w, r.URL.Path)
	})
	b := setup(t, nil)
	ev := newEvent("p", srv.URL+"/a", srv.URL+"/b", "text")
	err := b.handle(ev)
	require.ErrorContains(t, err, "1 of 3 outputs failed: output 1: 127.0.0.1 answered 500")
	require.False(t, consumers.IsPermanent(err))
	dir := folder(b.dir, "p")
	require.Equal(t, []string{"0.gif", "2.txt", eventName, signatureName}, names(t, dir))
	want := snapshot(t, filepath.Join(dir, "0.gif"))

	broken.Store(0)
	require.NoError(t, b.handle(ev))
	require.EqualValues(t, 2, asked.Load())
	require.Equal(t, want, snapshot(t, filepath.Join(dir, "0.gif")))
	m := readManifest(t, dir)
	require.Equal(t, "image/gif", m.Outputs[0].ContentType)
	require.Equal(t, "get3w/2026/01/02/p/0.gif", m.Outputs[0].Key)
	require.EqualValues(t, 2, m.Outputs[0].Bytes)
}

// A manifest that names failures is tried again, one output after the other.
func TestRedrive(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(http.StatusNotFound)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			w.WriteHeader(int(status.Load()))
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	b := setup(t, nil)
	dir := folder(b.dir, "p")
	ev := newEvent("p", srv.URL+"/a", srv.URL+"/b")
	require.True(t, consumers.IsPermanent(b.handle(ev)))
	failed := readManifest(t, dir)
	require.Equal(t, "gone: 127.0.0.1 answered 404", failed.Outputs[1].Error)
	require.Equal(t, srv.URL+"/b", failed.Outputs[1].URL)

	// A passing fault leaves the manifest as it is.
	status.Store(http.StatusBadGateway)
	err := b.handle(ev)
	require.Error(t, err)
	require.False(t, consumers.IsPermanent(err))
	require.Equal(t, failed, readManifest(t, dir))

	status.Store(http.StatusOK)
	require.NoError(t, b.handle(ev))
	m := readManifest(t, dir)
	require.Equal(t, failed.Outputs[0], m.Outputs[0])
	require.Empty(t, m.Outputs[1].Error)
}

// A checksum that was promised is not replaced by that of a damaged file.
func TestRedriveFindsDamage(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			w.WriteHeader(http.StatusGone)
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	p := &told{}
	b := setup(t, func(c *Config) { c.Publish = p.publish })
	dir := folder(b.dir, "p")
	ev := newEvent("p", srv.URL+"/a.png", srv.URL+"/b")
	require.True(t, consumers.IsPermanent(b.handle(ev)))
	promised := readManifest(t, dir).Outputs[0]
	require.NoError(t, os.WriteFile(filepath.Join(dir, "0.png"), []byte("/A"), 0o600))
	for range 3 {
		err := b.handle(ev)
		require.True(t, consumers.IsPermanent(err))
		require.ErrorContains(t, err, "0.png is not what its manifest says")
		require.Equal(t, promised.SHA256, readManifest(t, dir).Outputs[0].SHA256)
	}
	a := archivedOf(t, p.events[len(p.events)-1])
	require.Empty(t, a.Outputs)
	require.Len(t, a.Missing, 2)
	require.NotEqual(t, p.events[0].ID, p.events[1].ID, "that it is damaged is news")

	// A person who still has the right bytes may bring them back.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "0.png"), []byte("/a.png"), 0o600))
	require.ErrorContains(t, b.handle(ev), "1 of 2 outputs failed: output 1")
	require.Equal(t, promised, readManifest(t, dir).Outputs[0])
}

// An earlier version gave outputs the extension part, when their address had it. Their
// manifest says that they are whole.
func TestOutputCalledPartIsKept(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			w.WriteHeader(http.StatusGone)
		}
		_, _ = io.WriteString(w, r.URL.Path)
	})
	b := setup(t, nil)
	dir := folder(b.dir, "p")
	ev := newEvent("p", srv.URL+"/a.part", srv.URL+"/b")
	require.True(t, consumers.IsPermanent(b.handle(ev)))
	m := readManifest(t, dir)
	m.Outputs[0].Key = "get3w/2026/01/02/p/0.part"
	data, err := m.encode()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, manifestName), data, 0o600))
	require.NoError(t, os.Rename(filepath.Join(dir, "0.txt"), filepath.Join(dir, "0.part")))
	srv.Close() // nothing is to be had any more

	want := snapshot(t, filepath.Join(dir, "0.part"))
	require.ErrorContains(t, b.handle(ev), "1 of 2 outputs failed: output 1")
	require.Equal(t, want, snapshot(t, filepath.Join(dir, "0.part")))
}

func TestManifestOfNewerVersion(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ev := newEvent("p", "text")
	require.NoError(t, b.handle(ev))
	file := filepath.Join(folder(b.dir, "p"), manifestName)
	for content, want := range map[string]string{`{"format":2}`: "newer version", `{"form`: "unexpected end"} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		require.ErrorContains(t, b.handle(ev), want)
		require.Equal(t, content, readFile(t, file))
	}
}
