package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

func TestArchive(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/typed" {
			w.Header().Set("Content-Type", "Image/WebP; x=1")
		}
		_, _ = fmt.Fprint(w, "bytes of ", r.URL.Path)
	})
	b := setup(t, nil)
	ev := newEvent("pred_1", srv.URL+"/a.PNG?sig=x&y=<z>", srv.URL+"/typed", srv.URL+"/a.not-usable")
	before := time.Now()
	require.NoError(t, b.handle(ev))

	dir := folder(b.dir, "pred_1")
	require.Equal(t, []string{"0.png", "1.webp", "2.txt", "event.json", "event.signature", "manifest.json"}, names(t, dir))
	require.Equal(t, string(ev.Body), readFile(t, dir, eventName))
	require.Equal(t, "00ff", readFile(t, dir, signatureName))
	require.Contains(t, readFile(t, dir, manifestName), `"url": "`+srv.URL+`/a.PNG?sig=x&y=<z>"`)

	m := readManifest(t, dir)
	require.WithinRange(t, m.ArchivedAt, before, time.Now())
	for n, o := range m.Outputs {
		require.Equal(t, n, o.N)
		data := readFile(t, b.dir, o.Key)
		sum := sha256.Sum256([]byte(data))
		require.Equal(t, hex.EncodeToString(sum[:]), o.SHA256)
		require.Equal(t, int64(len(data)), o.Bytes)
		require.WithinRange(t, o.StoredAt, before, time.Now())
		require.Empty(t, o.Error)
	}
	require.Equal(t, "get3w/2026/01/02/pred_1/1.webp", m.Outputs[1].Key)
	require.Equal(t, "image/webp; x=1", m.Outputs[1].ContentType)
	require.Equal(t, "bytes of /typed", readFile(t, dir, "1.webp"))
	m.ArchivedAt, m.Outputs = time.Time{}, nil
	require.Equal(t, &manifest{
		Format: 1, Event: ev.ID, Source: "get3w", Prediction: "pred_1", Model: "get3w/flux-dev",
		Status: "completed", Signature: "00ff",
	}, m)
}

func TestHandledAgainChangesNothing(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "x")
	})
	b := setup(t, nil)
	ev := newEvent("pred_1", srv.URL+"/a.png")
	require.NoError(t, b.handle(ev))
	want := snapshot(t, b.dir)
	require.NoError(t, b.handle(ev))
	// The same fact in other bytes, as a poll tells it.
	polled := *ev
	polled.Body = []byte(`{"id":"pred_1","outputs":["` + srv.URL + `/other"]}`)
	require.NoError(t, b.handle(&polled))
	require.Equal(t, want, snapshot(t, b.dir))
	require.EqualValues(t, 1, asked.Load())
}

func TestOutputsThatAreNoAddresses(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p", "plain \"text\"", map[string]any{"k": []int{1}}, nil, 1.5, "data:image/png;base64,AA==", "", "ftp://x/y")))
	dir := folder(b.dir, "p")
	for name, want := range map[string]string{
		"0.txt": `plain "text"`, "1.json": `{"k":[1]}`, "2.json": "null", "3.json": "1.5",
		"4.txt": "data:image/png;base64,AA==", "5.txt": "", "6.txt": "ftp://x/y",
	} {
		require.Equal(t, want, readFile(t, dir, name))
	}
	m := readManifest(t, dir)
	require.Len(t, m.Outputs, 7)
	require.Empty(t, m.Outputs[0].URL)
	require.Equal(t, "text/plain", m.Outputs[0].ContentType)
	require.Equal(t, "application/json", m.Outputs[1].ContentType)
}

func TestEventWithoutOutputs(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ev := newEvent("p")
	ev.Signature = ""
	require.NoError(t, b.handle(ev))
	require.Equal(t, []string{eventName, manifestName}, names(t, folder(b.dir, "p")))
	require.Contains(t, readFile(t, folder(b.dir, "p"), manifestName), `"outputs": []`)
}

func TestUnusableEvents(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ev := newEvent("p")
	ev.Body = []byte(`[]`)
	require.True(t, consumers.IsPermanent(b.handle(ev)))
	require.True(t, consumers.IsPermanent(b.handle(newEvent("p", make([]any, maxOutputs+1)...))))
	require.Empty(t, names(t, b.dir))

	err := b.handle(newEvent("p", "https://127.0.0.1/"+strings.Repeat("x", maxURL), "https://127.0.0.1:x/?sig=secret", "text"))
	require.True(t, consumers.IsPermanent(err))
	require.NotContains(t, err.Error(), "secret")
	m := readManifest(t, folder(b.dir, "p"))
	require.NotEmpty(t, m.Outputs[0].Error)
	require.NotEmpty(t, m.Outputs[1].Error)
	require.Equal(t, "text", readFile(t, folder(b.dir, "p"), "2.txt"))
}

func TestConflictingEvents(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	b := setup(t, nil)
	first, second := newEvent("p", srv.URL+"/first.png"), newEvent("p", srv.URL+"/second.png")
	require.NoError(t, b.handle(first))
	want := snapshot(t, folder(b.dir, "p"))
	require.NoError(t, b.handle(second))
	require.Equal(t, want, snapshot(t, folder(b.dir, "p")))
	other := folder(b.dir, "p") + "." + filepath.Base(second.ID)
	require.Equal(t, "/second.png", readFile(t, other, "0.png"))
	require.Equal(t, second.ID, readManifest(t, other).Event)

	all := snapshot(t, b.dir)
	require.NoError(t, b.handle(second))
	require.NoError(t, b.handle(first))
	require.Equal(t, all, snapshot(t, b.dir))
}

// The same fact may come in other bytes, which another signature belongs to.
func TestSignatureBelongsToBody(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	broken.Store(true)
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	b := setup(t, nil)
	require.NoError(t, b.handle(newEvent("p", "first")))
	second := newEvent("p", srv.URL+"/a.png")
	second.Signature = ""
	require.Error(t, b.handle(second))
	broken.Store(false)
	again := *second
	again.Body = append([]byte(" "), second.Body...)
	again.Signature = "beef"
	require.NoError(t, b.handle(&again))
	dir := folder(b.dir, "p") + "." + filepath.Base(second.ID)
	require.Equal(t, []string{"0.png", eventName, manifestName}, names(t, dir))
	require.Equal(t, string(second.Body), readFile(t, dir, eventName))
}

// The second event comes while the first one, and a repeat of it, is under way.
func TestConflictingEventsAtOnce(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	b := setup(t, nil)
	events := []*bridge.Event{newEvent("p", srv.URL+"/1.png"), newEvent("p", srv.URL+"/2.png"), newEvent("p", srv.URL+"/1.png")}
	var wg sync.WaitGroup
	for _, ev := range events {
		wg.Go(func() {
			if err := b.handle(ev); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	stored := map[string]string{}
	for _, name := range names(t, filepath.Dir(folder(b.dir, "p"))) {
		dir := filepath.Join(filepath.Dir(folder(b.dir, "p")), name)
		stored[readManifest(t, dir).Event] = readFile(t, dir, "0.png")
	}
	require.Equal(t, map[string]string{events[0].ID: "/1.png", events[1].ID: "/2.png"}, stored)
}

func TestConcurrentEvents(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, strings.Repeat(r.URL.Path, 10_000)) })
	b := setup(t, nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id := fmt.Sprint("p", i)
			if err := b.handle(newEvent(id, srv.URL+"/"+id+".png", "text")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 20 {
		require.Equal(t, strings.Repeat(fmt.Sprint("/p", i, ".png"), 10_000), readFile(t, folder(b.dir, fmt.Sprint("p", i)), "0.png"))
	}
	require.Empty(t, temporaries(t, b.dir))
	require.Zero(t, b.space.promised)
}

func TestLocks(t *testing.T) {
	t.Parallel()
	var l locks
	unlock, err := l.lock(t.Context(), "a")
	require.NoError(t, err)
	other, err := l.lock(t.Context(), "b")
	require.NoError(t, err)
	other()
	cause := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	_, err = l.lock(ctx, "a")
	require.Equal(t, cause, err)
	unlock()
	unlock, err = l.lock(ctx, "a")
	require.NoError(t, err)
	unlock()
	require.Empty(t, l.held)
}

func TestManyOutputs(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	b := setup(t, nil)
	outputs := make([]any, 200)
	for i := range outputs {
		outputs[i] = fmt.Sprint(srv.URL, "/", i, ".png")
	}
	require.NoError(t, b.handle(newEvent("p", outputs...)))
	require.Len(t, readManifest(t, folder(b.dir, "p")).Outputs, len(outputs))
	require.Equal(t, "/199.png", readFile(t, folder(b.dir, "p"), "199.png"))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Config){
		"location is empty":        func(c *Config) { c.Location = Location{} },
		"not a host name":          func(c *Config) { c.Hosts = []string{"https://x"} },
		`"cdn:443" is not`:         func(c *Config) { c.Hosts = []string{"cdn:443"} },
		`"*x.com" is not`:          func(c *Config) { c.Hosts = []string{"a", "*x.com"} },
		`"*.com" is not`:           func(c *Config) { c.Hosts = []string{"a", "*.com"} },
		`"*.1.2.3.4" is not`:       func(c *Config) { c.Hosts = []string{"a", "*.1.2.3.4"} },
		"max output is -1":         func(c *Config) { c.MaxOutput = -1 },
		"timeout is -1s":           func(c *Config) { c.Timeout = -time.Second },
		"stall is -1s":             func(c *Config) { c.Stall = -time.Second },
		"not a directory":          func(c *Config) { c.Location.Dir = "/dev/null" },
		"archive: location: openi": func(c *Config) { c.Location.Dir = "/dev/null/x" },
	} {
		c := Config{Location: Location{Dir: t.TempDir()}, Hosts: []string{"cdn.example.com", "::1"}}
		change(&c)
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
}
