package archive

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// small is an archive that may hold no more than 1 MiB, and looks often.
func small(t *testing.T, change func(*Config)) *bundle {
	t.Helper()
	b := setup(t, func(c *Config) {
		c.MaxOutput, c.MaxBytes = 500<<10, 1<<20
		if change != nil {
			change(c)
		}
	})
	b.space.poll, b.space.usage.every = time.Millisecond, time.Nanosecond
	return b
}

// An archive that is full waits, until somebody makes room, and says so.
func TestMaxBytes(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/untold" {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = w.Write(sample(400 << 10))
	})
	for _, path := range []string{"/told", "/untold"} {
		b := small(t, nil)
		before := filepath.Join(b.dir, "of-another-time")
		require.NoError(t, os.WriteFile(before, make([]byte, 700<<10), 0o600))
		done := make(chan error, 1)
		go func() { done <- b.handle(newEvent("p", srv.URL+path)) }()
		require.Eventually(t, func() bool { return b.alarms(bridge.AlarmArchiveNoRoom) > 3 }, 10*time.Second, time.Millisecond)
		alarm := b.raised.Of(bridge.AlarmArchiveNoRoom)[0]
		require.Contains(t, alarm.Text, "of 1.0 MB, and")
		require.Contains(t, alarm.Text, "raise consumers.<name>.max_bytes")
		require.Empty(t, done)
		require.NoFileExists(t, filepath.Join(folder(b.dir, "p"), manifestName))

		require.NoError(t, os.Remove(before))
		require.NoError(t, <-done)
		require.True(t, b.raised.Cleared(bridge.AlarmArchiveNoRoom))
		require.Zero(t, b.space.usage.held)
		require.Zero(t, b.space.promised)
	}
}

// The counted size of the archive is right, also after failures.
func TestUsageIsRight(t *testing.T) {
	t.Parallel()
	f := &flaky{data: sample(300 << 10), etag: `"1"`, cut: 200 << 10, cuts: 1}
	f.lie = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	}
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
			return
		}
		f.ServeHTTP(w, r)
	})
	requireRight := func(b *bundle) {
		t.Helper()
		size, err := b.files.size(t.Context())
		require.NoError(t, err)
		require.Equal(t, size, b.space.usage.bytes)
		require.Zero(t, b.space.usage.held)
	}
	b := small(t, nil)
	require.Error(t, b.handle(newEvent("cut", srv.URL+"/cut")))
	requireRight(b)
	ev := newEvent("p", "text", srv.URL+"/a.mp4")
	require.Error(t, b.handle(ev))
	require.Empty(t, temporaries(t, b.dir))
	requireRight(b)
	f.lie = nil
	require.NoError(t, b.handle(ev))
	requireRight(b)
	require.NoError(t, b.handle(ev))
	requireRight(b)

	store := newBucket(t)
	b = small(t, func(c *Config) { c.Location = store.location(t) })
	require.Error(t, b.handle(newEvent("cut", srv.URL+"/cut")))
	require.NoError(t, b.handle(ev))
	requireRight(b)
}

// What an attempt that was killed left behind counts no longer than it is there.
func TestRemovedLeftoversAreNotCounted(t *testing.T) {
	t.Parallel()
	b := small(t, nil)
	leave := func(id string) {
		t.Helper()
		left := filepath.Join(folder(b.dir, id), "0.mp4.18ab.tmp")
		require.NoError(t, os.MkdirAll(filepath.Dir(left), 0o750))
		require.NoError(t, os.WriteFile(left, make([]byte, 512_000), 0o600))
	}
	leave("before")
	require.NoError(t, b.handle(newEvent("before", "text")))
	leave("since") // by another process, so it was never counted
	require.NoError(t, os.Chtimes(filepath.Join(folder(b.dir, "since"), "0.mp4.18ab.tmp"), time.Time{}, time.Now().Add(time.Minute)))
	require.NoError(t, b.handle(newEvent("since", "text")))
	size, err := b.files.size(t.Context())
	require.NoError(t, err)
	require.Less(t, size, int64(512_000))
	require.Equal(t, size, b.space.usage.bytes)
}

// Events stay in their stream while there is no room.
func TestGate(t *testing.T) {
	t.Parallel()
	b := small(t, nil)
	b.Wait(t.Context()) // there is
	require.Zero(t, b.alarms(bridge.AlarmArchiveNoRoom))
	file := filepath.Join(b.dir, "large")
	require.NoError(t, os.WriteFile(file, make([]byte, 600<<10), 0o600))
	require.NoError(t, b.space.usage.recount(t.Context()))
	open := make(chan struct{})
	go func() {
		defer close(open)
		b.Wait(context.Background())
	}()
	require.Eventually(t, func() bool { return b.alarms(bridge.AlarmArchiveNoRoom) > 3 }, 10*time.Second, time.Millisecond)
	select {
	case <-open:
		t.Fatal("it is open")
	default:
	}
	require.NoError(t, os.Remove(file))
	<-open
	require.Zero(t, b.space.usage.held)

	// It ends with its context, and is no place for other faults.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.space.usage.counted = time.Time{}
	b.Wait(ctx)
	b.space.usage.count = func(context.Context) (int64, error) { return 0, errors.New("broken") }
	b.Wait(t.Context())
	require.ErrorContains(t, b.handle(newEvent("p", "text")), "broken")
	b.space.usage.count = b.files.size
	require.NoError(t, b.handle(newEvent("p", "text")))
}

func TestMaxBytesBelowMaxOutput(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Location: Location{Dir: t.TempDir()}, Hosts: []string{"x"}, MaxBytes: 1 << 30})
	require.ErrorContains(t, err, "at least twice max output")
}

// A disk of its own has a folder that only root may read, lost+found.
func TestFoldersOfOthersAreNotCounted(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, name := range []string{"a", "lost+found", "z"} {
		require.NoError(t, os.MkdirAll(filepath.Join(b.dir, name), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(b.dir, name, "file"), []byte("four"), 0o600))
	}
	list, err := os.ReadDir(b.dir)
	require.NoError(t, err)
	var total int64
	count := b.files.(*disk).counter(t.Context(), &total)
	closed := &fs.PathError{Op: "open", Path: "lost+found", Err: syscall.EACCES}
	require.Equal(t, fs.SkipDir, count(filepath.Join(b.dir, "lost+found"), list[1], closed))
	require.ErrorIs(t, count(b.dir, nil, closed), fs.ErrPermission, "the archive itself must be read")
	broken := errors.New("broken")
	require.Equal(t, broken, count(filepath.Join(b.dir, "a"), list[0], broken))
	require.Zero(t, total)
}
