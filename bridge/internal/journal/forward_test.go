package journal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// Senders append while a forwarder reads and settles, from the disk and from memory, and
// segments are trimmed under it. Everything comes once, in order.
func TestAppendReadAndSettleAtOnce(t *testing.T) {
	t.Parallel()
	for _, hot := range []int64{1, 100_000, 16 << 20} {
		raised := &alarms{}
		j := open(t, t.TempDir(), Config{SegmentBytes: 64 << 10, HotBytes: hot, interval: time.Millisecond, Alarms: raised})
		const senders, each = 8, 400
		var all sync.WaitGroup
		for sender := range senders {
			all.Go(func() {
				for n := range each {
					if err := j.Append(context.Background(), record(sender*each+n)); err != nil {
						panic(err)
					}
					_ = j.State()
					_ = j.Checkpoint()
				}
			})
		}
		seen, sequence := map[string]bool{}, uint64(0)
		for after := uint64(0); len(seen) < senders*each; {
			records, through, err := j.Next(context.Background(), after, 50, 1<<20)
			require.NoError(t, err)
			for _, r := range records {
				require.Greater(t, r.Sequence, sequence)
				require.False(t, seen[r.Subject])
				sequence, seen[r.Subject] = r.Sequence, true
			}
			after = through
			j.Settle(after, nil)
		}
		all.Wait()
		require.Zero(t, j.State().Records)
		require.NoError(t, j.Close())
		require.Empty(t, raised.all)
	}
}

// What is settled leaves the disk: segments of this process, and whole generations of earlier
// ones.
func TestTrim(t *testing.T) {
	t.Parallel()
	dir, deleted := t.TempDir(), make(chan string, 1000)
	d := newDisk()
	d.onDelete = func(path string, do func() error) error {
		err := do()
		deleted <- path
		return err
	}
	segments := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "0*", "*.wal"))
		require.NoError(t, err)
		return found
	}
	j := open(t, dir, Config{SegmentBytes: 4 << 10})
	fill(t, j, 400, 440)
	require.NoError(t, j.Close())
	old := segments()
	require.Greater(t, len(old), 3)

	j = open(t, dir, Config{SegmentBytes: 4 << 10, vfs: d, interval: time.Millisecond})
	j.Settle(30, nil)
	require.Equal(t, old[0], <-deleted, "also before anything is appended")
	j.Settle(40, nil)
	for _, path := range old[1 : len(old)-1] {
		require.Equal(t, path, <-deleted)
	}
	require.NoError(t, j.Begin())
	more := fill(t, j, 500, 540)
	j.Settle(more[39].Sequence, nil)
	require.Equal(t, old[len(old)-1], <-deleted)
	for len(segments()) > 1 {
		<-deleted
	}
	require.NoError(t, j.Close())
	left, err := filepath.Glob(filepath.Join(dir, "0*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	text, err := os.ReadFile(filepath.Join(dir, positionFile))
	require.NoError(t, err)
	require.Contains(t, string(text), fmt.Sprintf(`{"settled":%d,`, more[39].Sequence))
}

// A backlog that is far larger than the memory for it is read while appending goes on.
func TestBacklogDoesNotCostMemory(t *testing.T) {
	const size, records, limit = 64 << 10, 4096, 96 << 20 // 256 MiB
	dir, raised := t.TempDir(), &alarms{}
	j := open(t, dir, Config{Alarms: raised})
	for n := 0; n < records; n += 64 {
		batch := make([]*Record, 64)
		for i := range batch {
			batch[i] = sized(n+i, size)
		}
		add(t, j, batch...)
	}
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse
	}
	require.Less(t, inUse(), uint64(limit))
	require.InDelta(t, records*size, j.State().Bytes, records*1000)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() {
		for ctx.Err() == nil {
			_ = j.Append(ctx, sized(1<<20, 100))
		}
	})
	n, after := 0, uint64(0)
	for n < records {
		got, through, err := j.Next(ctx, after, 1000, 4<<20)
		require.NoError(t, err)
		for _, r := range got {
			if n < records {
				require.Equal(t, sized(n, size).Body, r.Body)
			}
			n++
		}
		if after = through; n%1024 < 64 {
			require.Less(t, inUse(), uint64(limit))
		}
	}
	require.Empty(t, raised.of(bridge.AlarmJournalDamaged))
	stop()
	all.Wait()
	require.NoError(t, j.Close())

	j = open(t, dir, Config{})
	require.Less(t, inUse(), uint64(limit))
	require.GreaterOrEqual(t, j.State().Bytes, int64(records*size))
	require.InDelta(t, records*size, j.State().Bytes, 24<<20, "from the sizes of the files")
	require.False(t, j.State().Oldest.IsZero())
}
