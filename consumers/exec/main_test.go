package exec

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

// patience bounds how long a test waits for something that must happen.
const patience = time.Minute

// childHandle is the first argument of a process that a test starts to have it killed.
const childHandle = "exec-child-handle"

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == childHandle {
		os.Exit(child(os.Args[2], os.Args[3]))
	}
	goleak.VerifyTestMain(m)
}

// child handles one event with a script.
func child(dir, script string) int {
	r, err := New(Config{Command: []string{"/bin/sh", "-c", script}, Dir: dir})
	if err == nil {
		err = r.Handle(context.Background(), newEvent("p"))
	}
	if err != nil {
		return 1
	}
	return 0
}

func newEvent(id string) *bridge.Event {
	body := []byte(`{"id":"` + id + `","status":"completed"}`)
	return &bridge.Event{
		ID:           bridge.NewEventID(id, bridge.StatusCompleted, body),
		Source:       "get3w",
		Type:         "com.get3w.prediction.completed.v1",
		PredictionID: id,
		Status:       bridge.StatusCompleted,
		Body:         body,
	}
}

// bundle is a runner of a script.
type bundle struct {
	*Runner
	t     *testing.T
	dir   string // of the working folders
	out   string // a folder for the script, in $OUT
	heard *natstest.Alarms
}

func setup(t *testing.T, script string) *bundle {
	t.Helper()
	return setupCommand(t, "/bin/sh", "-c", script)
}

func setupCommand(t *testing.T, command ...string) *bundle {
	t.Helper()
	b := &bundle{t: t, dir: filepath.Join(t.TempDir(), "exec", "team"), out: t.TempDir(), heard: &natstest.Alarms{}}
	r, err := New(Config{Command: command, Env: []string{"PATH=/usr/bin:/bin", "OUT=" + b.out}, Dir: b.dir, Name: "team", Alarms: b.heard})
	require.NoError(t, err)
	b.Runner = r
	return b
}

func (b *bundle) handle(ev *bridge.Event) error { return b.Handle(context.Background(), ev) }

// start handles an event in the background; end ends its context and returns what
// Handle returned.
func (b *bundle) start() (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Handle(ctx, newEvent("p")) }()
	b.t.Cleanup(cancel)
	return func() error {
		cancel()
		return next(b.t, done)
	}
}

func (b *bundle) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.out, name))
	require.NoError(b.t, err)
	return string(text)
}

// life makes the pipe $OUT/life, which the processes of a script hold open. Begun returns once
// one of them has written a line to it, and over once none of them lives.
type life struct {
	t    *testing.T
	line chan string
	rest chan error
}

func (b *bundle) life() *life {
	b.t.Helper()
	path := filepath.Join(b.out, "life")
	require.NoError(b.t, syscall.Mkfifo(path, 0o600))
	l := &life{t: b.t, line: make(chan string, 1), rest: make(chan error, 1)}
	go func() {
		f, err := os.Open(path) // waits for a writer
		if err != nil {
			l.rest <- err
			return
		}
		defer func() { _ = f.Close() }()
		line := make([]byte, 100)
		n, _ := f.Read(line)
		l.line <- string(line[:n])
		_, err = io.Copy(io.Discard, f)
		l.rest <- err
	}()
	return l
}

func (l *life) begun() string {
	l.t.Helper()
	return next(l.t, l.line)
}

func (l *life) over() {
	l.t.Helper()
	require.NoError(l.t, next(l.t, l.rest))
}

func next[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("it never happened")
		panic("unreachable")
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
