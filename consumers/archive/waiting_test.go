package archive

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// An attempt that waits for room counts the archive again. Downloads on their way are part of
// that count, and are not dropped because room was promised to them before.
func TestWaitersLeaveDownloadsAlone(t *testing.T) {
	t.Parallel()
	const size, first = 36 << 20, 20 << 20
	for name, told := range map[string]bool{"told": true, "untold": false} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			goOn := make(chan struct{})
			srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if told {
					w.Header().Set("Content-Length", strconv.Itoa(size))
				}
				_, _ = w.Write(make([]byte, first))
				_ = http.NewResponseController(w).Flush()
				select {
				case <-goOn:
				case <-r.Context().Done():
				}
				_, _ = w.Write(make([]byte, size-first))
			})
			b := setup(t, func(c *Config) { c.MaxOutput, c.MaxBytes = 40<<20, 110<<20 })
			b.space.poll, b.space.usage.every = time.Millisecond, time.Nanosecond
			before := filepath.Join(b.dir, "of-another-time")
			require.NoError(t, os.WriteFile(before, nil, 0o600))
			require.NoError(t, os.Truncate(before, 60<<20))

			done := make(chan error, 1)
			go func() { done <- b.handle(newEvent("p", srv.URL+"/a.mp4")) }()
			require.Eventually(t, func() bool {
				left, err := filepath.Glob(filepath.Join(folder(b.dir, "p"), "0.mp4.*.tmp"))
				require.NoError(t, err)
				return len(left) == 1 && held(t, b.dir) == first
			}, 10*time.Second, time.Millisecond)
			waited := make(chan error, 1)
			go func() {
				g, err := b.space.grantWait(context.Background(), size)
				if err == nil {
					g.release()
				}
				waited <- err
			}()
			require.Eventually(t, func() bool { return b.alarms(bridge.AlarmArchiveNoRoom) > 3 }, 10*time.Second, time.Millisecond)
			close(goOn)
			require.NoError(t, <-done)
			require.EqualValues(t, 1, asked.Load())

			require.NoError(t, os.Remove(before))
			require.NoError(t, <-waited)
			there, err := b.files.size(t.Context())
			require.NoError(t, err)
			// A count that overlaps with the writing of the record may hold the record twice.
			record := there - size
			require.GreaterOrEqual(t, b.space.usage.bytes, there)
			require.LessOrEqual(t, b.space.usage.bytes, there+record)
		})
	}
}

// A count that began before a download was promised its room may find it there, too.
func TestPromisesAreKept(t *testing.T) {
	t.Parallel()
	u := newUsage(10, nil)
	require.Nil(t, u.hold(8))
	u.add(9)
	require.Nil(t, u.hold(0))
	require.NotNil(t, u.hold(1))
}

// streaming tells when an output was stored.
type streaming struct {
	store
	stored func()
}

func (s streaming) stream(ctx context.Context, f file, r io.Reader) (measured, error) {
	m, err := s.store.stream(ctx, f, r)
	s.stored()
	return m, err
}

// There is no moment at which a file that is stored is neither promised nor counted.
func TestNoGapBetweenPromiseAndCount(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 400<<10)) })
	b := small(t, nil)
	gaps, stored := 0, 0
	b.files = streaming{b.files, func() {
		stored++
		if g, err := b.space.grant(700<<10, 0); err == nil {
			g.release()
			gaps++
		}
	}}
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")))
	require.Equal(t, 1, stored)
	require.Zero(t, gaps)
	require.Zero(t, b.space.usage.held)
	require.Zero(t, b.space.promised)
}

// While outputs wait for room operators are told since when and why.
func TestBlockedWithoutRoom(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var room atomic.Bool
	b.disk(func(int32) int64 {
		if room.Load() {
			return plenty
		}
		return 0
	})
	since, _ := b.Blocked()
	require.Zero(t, since)
	began := time.Now()
	passed := make(chan struct{})
	for range 2 {
		go func() {
			b.Wait(context.Background())
			passed <- struct{}{}
		}()
	}
	require.Eventually(t, func() bool { return b.alarms(bridge.AlarmArchiveNoRoom) > 3 }, 10*time.Second, time.Millisecond)
	since, why := b.Blocked()
	require.WithinRange(t, since, began, time.Now())
	require.Contains(t, why, "no room for")
	require.Contains(t, why, "free some space")
	room.Store(true)
	<-passed
	<-passed
	since, _ = b.Blocked()
	require.Zero(t, since)
}
