package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/consumers"
)

const plenty = 1 << 40

// disk makes the archive see the free space that look returns for the n-th time
// that it looks at the disk.
func (b *bundle) disk(look func(n int32) int64) {
	var n atomic.Int32
	b.space.poll = time.Millisecond
	b.space.free = func() (int64, error) { return look(n.Add(1)), nil }
}

func TestWaitsForSpace(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, "0123456789")
	})
	b := setup(t, func(c *Config) { c.Reserve = func() (int64, error) { return 1000, nil } })
	b.disk(func(n int32) int64 {
		switch {
		case n <= 2: // the event and its signature
			return plenty
		case n == 3: // the output: one byte is missing
			return 1009
		case n < 6:
			return 1009
		case n == 6:
			return 1010
		}
		return plenty
	})
	require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")))
	require.EqualValues(t, 2, asked.Load())
	require.Equal(t, "0123456789", readFile(t, folder(b.dir, "p"), "0.png"))
	alarm := b.raised.Of(bridge.AlarmArchiveNoRoom)[0]
	require.Equal(t, "archive", alarm.Subject)
	require.Contains(t, alarm.Text, "no room for 10 B: 1.0 kB are free, of which 1.0 kB are reserved for events and 0 B are promised to other files; free some space")
	require.EqualValues(t, 1009, alarm.Details["free_bytes"])
	require.Zero(t, b.space.promised)
}

// Nothing at all is written when there is no room, not even the small files.
func TestWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	cause := errors.New("stopping")
	ctx, cancel := context.WithCancelCause(t.Context())
	b.disk(func(n int32) int64 {
		if n == 3 {
			cancel(cause)
		}
		return 0
	})
	require.Equal(t, cause, b.Handle(ctx, newEvent("p", "text")))
	require.Empty(t, names(t, b.dir))
	require.Zero(t, b.space.promised)
}

// The disk fills up while an output of unknown length comes: what came is dropped,
// and before it is asked for again there must be room for as much and more.
func TestSpaceEndsInMidDownload(t *testing.T) {
	t.Parallel()
	const size = 3*spaceStep + 1
	for name, told := range map[string]bool{"told": true, "untold": false} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				if told {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				} else {
					_ = http.NewResponseController(w).Flush()
				}
				for rest := size; rest > 0; rest -= half {
					if _, err := w.Write(make([]byte, min(rest, half))); err != nil {
						return // it was dropped
					}
				}
			})
			b := setup(t, nil)
			full, waits := false, 0
			b.disk(func(int32) int64 {
				switch {
				case full && waits < 3:
					waits++
					require.Zero(t, held(t, b.dir))
					return 2*spaceStep - 1 // less than what came and what is still to come
				case !full && held(t, b.dir) > 0:
					full = true
					return 0
				}
				return plenty
			})
			require.NoError(t, b.handle(newEvent("p", srv.URL+"/a.png")))
			require.EqualValues(t, 2, asked.Load())
			require.Len(t, readFile(t, folder(b.dir, "p"), "0.png"), size)
			require.NotZero(t, b.alarms(bridge.AlarmArchiveNoRoom))
			require.Zero(t, b.space.promised)
		})
	}
}

// held is how much room parts of outputs take.
func held(t testing.TB, root string) (bytes int64) {
	t.Helper()
	for _, file := range temporaries(t, root) {
		info, err := os.Stat(file)
		require.NoError(t, err)
		bytes += info.Size()
	}
	return bytes
}

func TestPromises(t *testing.T) {
	t.Parallel()
	s := &space{step: spaceStep, free: func() (int64, error) { return 100, nil }, reserve: func() (int64, error) { return 10, nil }}
	one, err := s.grant(60, 0)
	require.NoError(t, err)
	_, err = s.grant(40, 0)
	require.EqualError(t, err, "no room for 40 B: 100 B are free, of which 10 B are reserved for events and 60 B are promised to other files")
	require.NoError(t, one.take(25))
	require.EqualValues(t, 35, s.promised)
	one.release()
	one.release()
	require.Zero(t, s.promised)
	two, err := s.grant(90, 0)
	require.NoError(t, err)
	two.release()
	require.Zero(t, s.promised)
}

func TestSpaceCannotBeKnown(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	b := setup(t, func(c *Config) { c.Reserve = func() (int64, error) { return 0, broken } })
	err := b.handle(newEvent("p", "text"))
	require.ErrorIs(t, err, broken)
	require.False(t, consumers.IsPermanent(err))

	b = setup(t, nil)
	b.space.free = func() (int64, error) { return 0, broken }
	require.ErrorIs(t, b.handle(newEvent("p", "text")), broken)

	looks := 0
	b = setup(t, nil)
	b.space.poll = time.Millisecond
	b.space.free = func() (int64, error) {
		if looks++; looks == 1 {
			return 0, nil
		}
		return 0, broken
	}
	require.ErrorIs(t, b.handle(newEvent("p", "text")), broken)
}

func TestFreeSpace(t *testing.T) {
	t.Parallel()
	n, err := freeSpace(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, n)
	require.Less(t, n, int64(math.MaxInt64))
	_, err = freeSpace("/nowhere/at/all")
	require.Error(t, err)
}
