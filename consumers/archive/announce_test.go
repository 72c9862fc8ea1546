package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

// told collects what an archive publishes; fail, when set, says what becomes of it.
type told struct {
	events []*bridge.Event
	fail   func(n int, ev *bridge.Event) error
}

func (p *told) publish(_ context.Context, ev *bridge.Event) error {
	p.events = append(p.events, ev)
	if p.fail == nil {
		return nil
	}
	return p.fail(len(p.events), ev)
}

func archivedOf(t *testing.T, ev *bridge.Event) *bridge.Archived {
	t.Helper()
	read, err := bridge.DecodeEvent(ev.Header(), ev.Body)
	require.NoError(t, err)
	a, err := read.Archived()
	require.NoError(t, err)
	return a
}

func TestArchivedIsPublished(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.URL.Path) })
	p := &told{}
	b := setup(t, func(c *Config) { c.Publish = p.publish })
	p.fail = func(int, *bridge.Event) error {
		require.FileExists(t, filepath.Join(folder(b.dir, "p q"), manifestName), "it is published after the manifest")
		return nil
	}
	ev := newEvent("p q", srv.URL+"/a.png?sig=secret#x", "text")
	ev.RawStatus, ev.TraceParent, ev.Query = "COMPLETED", "00-11-22-01", map[string]string{"tenant": "t"}
	require.NoError(t, b.handle(ev))
	require.Len(t, p.events, 1)
	got := p.events[0]
	require.Regexp(t, `^p q/archived/[0-9a-f]{16}$`, got.ID)
	require.Equal(t, "hookspan.events.get3w.outputs.archived.get3w.flux-dev", bridge.Names{}.SubjectOf(got))
	require.Equal(t, "completed", got.Status)
	require.Equal(t, "COMPLETED", got.RawStatus)
	require.Equal(t, ev.TraceParent, got.TraceParent)
	require.Equal(t, ev.Query, got.Query)
	require.Equal(t, bridge.OriginArchive, got.Origin)
	require.NotContains(t, string(got.Body), "secret")

	m := readManifest(t, folder(b.dir, "p q"))
	root := "file://" + b.dir + "/get3w/2026/01/02/p=20q/"
	require.Equal(t, &bridge.Archived{
		Prediction: "p q", Source: "get3w", Model: "get3w/flux-dev", Event: ev.ID, ArchivedAt: m.ArchivedAt,
		Outputs: []bridge.ArchivedOutput{
			{N: 0, URL: root + "0.png", Bytes: 6, ContentType: m.Outputs[0].ContentType, SHA256: m.Outputs[0].SHA256, SourceURL: srv.URL + "/a.png"},
			{N: 1, URL: root + "1.txt", Bytes: 4, ContentType: "text/plain", SHA256: m.Outputs[1].SHA256},
		},
		Manifest: root + "manifest.json",
	}, archivedOf(t, got))

	// Handled again it is the same event.
	require.NoError(t, b.handle(ev))
	require.Len(t, p.events, 2)
	require.Equal(t, got, p.events[1])
}

// The event is not handled before others can know of it. Two archives keep the same in two
// places, and both of them are news; two processes of one archive tell the same.
func TestEachArchiveIsPublished(t *testing.T) {
	t.Parallel()
	ev := newEvent("p", "text")
	var ids []string
	dir := t.TempDir()
	for _, at := range []string{dir, dir, t.TempDir()} {
		p := &told{}
		b := setup(t, func(c *Config) { c.Publish, c.Location.Dir = p.publish, at })
		require.NoError(t, b.handle(ev))
		ids = append(ids, p.events[0].MsgID())
	}
	require.Equal(t, ids[0], ids[1])
	require.NotEqual(t, ids[0], ids[2])
}

func TestUnpublishedComesAgain(t *testing.T) {
	t.Parallel()
	p := &told{fail: func(n int, _ *bridge.Event) error {
		if n == 1 {
			return bridge.ErrUnknown
		}
		return nil
	}}
	b := setup(t, func(c *Config) { c.Publish = p.publish })
	ev := newEvent("p", "text")
	err := b.handle(ev)
	require.ErrorIs(t, err, bridge.ErrUnknown)
	require.False(t, consumers.IsPermanent(err))
	require.FileExists(t, filepath.Join(folder(b.dir, "p"), manifestName))
	require.NoError(t, b.handle(ev))
	require.Len(t, p.events, 2)
	require.Equal(t, p.events[0], p.events[1])
}

// Outputs that are missing for good are published too; outputs that may still come are not.
func TestMissingIsPublished(t *testing.T) {
	t.Parallel()
	var status atomic.Int32
	status.Store(http.StatusInternalServerError)
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/b" {
			w.WriteHeader(int(status.Load()))
		}
	})
	p := &told{}
	b := setup(t, func(c *Config) { c.Publish = p.publish })
	ev := newEvent("p", srv.URL+"/a", srv.URL+"/b?sig=secret")
	require.Error(t, b.handle(ev))
	require.Empty(t, p.events)

	status.Store(http.StatusNotFound)
	p.fail = func(n int, _ *bridge.Event) error {
		if n == 1 {
			return bridge.ErrUnavailable
		}
		return nil
	}
	err := b.handle(ev)
	require.ErrorIs(t, err, bridge.ErrUnavailable)
	require.False(t, consumers.IsPermanent(err), "it would be told nobody")
	require.True(t, consumers.IsPermanent(b.handle(ev)))
	a := archivedOf(t, p.events[1])
	require.Len(t, a.Outputs, 1)
	require.Equal(t, []bridge.MissingOutput{{N: 1, SourceURL: srv.URL + "/b", Error: "gone: 127.0.0.1 answered 404"}}, a.Missing)
	require.Equal(t, p.events[0].ID, p.events[1].ID)

	status.Store(http.StatusOK)
	require.NoError(t, b.handle(ev))
	require.Empty(t, archivedOf(t, p.events[2]).Missing)
	require.NotEqual(t, p.events[1].ID, p.events[2].ID, "it is another fact")
}

func TestTooLargeToPublishIsAbridged(t *testing.T) {
	t.Parallel()
	p := &told{fail: func(_ int, ev *bridge.Event) error {
		if len(ev.Body) > 500 {
			return fmt.Errorf("publishing: %w", bridge.ErrTooLarge)
		}
		return nil
	}}
	b := setup(t, func(c *Config) { c.Publish = p.publish })
	require.NoError(t, b.handle(newEvent("p", "a", "b", "c")))
	require.Len(t, p.events, 2)
	require.Equal(t, p.events[0].ID, p.events[1].ID)
	a := archivedOf(t, p.events[1])
	require.True(t, a.Abridged)
	require.Empty(t, a.Outputs)
	require.Equal(t, "file://"+folder(b.dir, "p")+"/manifest.json", a.Manifest)

	p.fail = func(int, *bridge.Event) error { return bridge.ErrTooLarge }
	require.ErrorIs(t, b.handle(newEvent("p", "a", "b", "c")), bridge.ErrTooLarge)
}

// A process that was killed between its manifest and its event has published nothing.
func TestKilledBeforeItIsPublished(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	ev := newEvent("p", "text")
	require.NoError(t, b.handle(ev))
	p := &told{}
	again, err := New(Config{Location: Location{Dir: b.dir}, Hosts: []string{"x"}, Publish: p.publish})
	require.NoError(t, err)
	defer func() { require.NoError(t, again.Close()) }()
	require.NoError(t, again.Handle(t.Context(), ev))
	require.Len(t, p.events, 1)
	require.NoError(t, os.Remove(filepath.Join(folder(b.dir, "p"), manifestName)))
	cause := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	p.fail = func(int, *bridge.Event) error { cancel(cause); return context.Canceled }
	require.Equal(t, cause, again.Handle(ctx, ev))
}

func TestArchivedEventIsNotArchived(t *testing.T) {
	t.Parallel()
	p := &told{}
	b := setup(t, func(c *Config) { c.Publish = p.publish })
	require.NoError(t, b.handle(newEvent("p", "text")))
	err := b.handle(p.events[0])
	require.True(t, consumers.IsPermanent(err))
	require.ErrorIs(t, err, bridge.ErrOtherKind)
}

func TestWithoutQuery(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://u:secret@h/a%20b?q=1#f": "https://h/a%20b", "https://h": "https://h/", "https://h/%zz?q": "https://h/%zz", "https://h//%?q": "https://h//%",
		"https://h/?": "https://h/", "": "", "https:///a?q": "", "https://h:x/?q": "",
	} {
		require.Equal(t, want, withoutQuery(address))
	}
	require.Empty(t, withoutQuery("https://h/"+string(make([]byte, maxURL))))
}
