package journal

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// A sync fails, once or for good, with the data on the disk or not. What was acknowledged
// stays, what failed is not read by this process, and the disk is not filled.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		raised, d := &alarms{}, newDisk()
		dir := t.TempDir()
		j := open(t, dir, Config{Alarms: raised, vfs: d})
		want := fill(t, j, 0, 10)
		d.set(func(d *disk) { d.onSync = fails(0, 1, after, syscall.EIO) })
		err := j.Append(context.Background(), record(10), record(11))
		require.ErrorIs(t, err, bridge.ErrUnknown)
		require.ErrorIs(t, err, syscall.EIO)
		require.Contains(t, j.State().Failure, "input/output error")
		require.Len(t, raised.of(bridge.AlarmJournalFailed), 1)
		got, _ := drain(t, j, 0)
		same(t, want, got)

		want = append(want, fill(t, j, 12, 20)...)
		j.Look()
		require.True(t, raised.of(bridge.AlarmJournalFailed)[1].Cleared)
		require.Empty(t, j.State().Failure)
		require.EqualValues(t, 13, want[10].Sequence, "the sequences of what failed are given out")
		got, _ = drain(t, j, 0)
		same(t, want, got)

		d.set(func(d *disk) { d.onSync = fails(0, math.MaxInt, after, syscall.EIO) })
		for range 20 {
			require.ErrorIs(t, j.Append(context.Background(), record(30)), bridge.ErrUnknown)
		}
		require.Len(t, raised.of(bridge.AlarmJournalFailed), 3, "one for each time it began to fail, and for its end")
		folders, err := filepath.Glob(filepath.Join(dir, "0*"))
		require.NoError(t, err)
		require.Len(t, folders, 2, "a generation with nothing in it goes")
		for _, folder := range folders {
			files, err := os.ReadDir(folder)
			require.NoError(t, err)
			info, err := files[0].Info()
			require.NoError(t, err)
			require.Less(t, info.Size(), int64(64<<10), "what was reserved is given back")
		}
		d.set(func(d *disk) { d.onSync = nil })
		want = append(want, fill(t, j, 40, 45)...)
		got, _ = drain(t, j, 0)
		same(t, want, got)
		require.NoError(t, j.Close())
		require.Empty(t, raised.of(bridge.AlarmJournalDamaged))
	}
}

// The disk has no room for the next segment, and then has.
func TestNoRoomForASegment(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS} {
		raised, d := &alarms{}, newDisk()
		dir := t.TempDir()
		j := open(t, dir, Config{Alarms: raised, vfs: d, SegmentBytes: 16 << 10})
		want := fill(t, j, 0, 3)
		d.set(func(d *disk) { d.onCreate = fails(0, math.MaxInt, true, cause) })
		n, err := 3, error(nil)
		for ; err == nil; n++ {
			r := record(n)
			if err = j.Append(context.Background(), r); err == nil {
				want = append(want, r)
			}
		}
		is, not := bridge.ErrFull, bridge.ErrUnavailable
		if cause == syscall.EIO || cause == syscall.EROFS { //nolint:errorlint // the cause itself
			is, not = not, is
		}
		require.ErrorIs(t, err, is)
		require.NotErrorIs(t, err, not)
		require.NotErrorIs(t, err, bridge.ErrUnknown)
		require.ErrorContains(t, err, dir)
		require.Greater(t, n, 10)
		require.ErrorIs(t, j.Append(context.Background(), record(n)), is)
		folders, globErr := filepath.Glob(filepath.Join(dir, "0*", "*"))
		require.NoError(t, globErr)
		require.Len(t, folders, 1, "nothing is left of what failed")

		d.set(func(d *disk) { d.onCreate = nil })
		want = append(want, fill(t, j, 1000, 1030)...)
		got, _ := drain(t, j, 0)
		same(t, want, got)
		require.NoError(t, j.Close())
		j = open(t, dir, Config{Alarms: raised})
		got, _ = drain(t, j, 0)
		same(t, want, got)
		require.Empty(t, raised.of(bridge.AlarmJournalDamaged))
	}
}

// A write that fits only in part was not stored, so no later process finds a part of it.
func TestNoRoomForARecord(t *testing.T) {
	t.Parallel()
	d, dir := newDisk(), t.TempDir()
	j := open(t, dir, Config{vfs: d})
	want := fill(t, j, 0, 5)
	d.set(func(d *disk) {
		d.onWrite = func(_ string, b []byte, _ int64, do func([]byte) error) error {
			require.NoError(t, do(b[:len(b)-1000]))
			return syscall.ENOSPC
		}
	})
	err := j.Append(context.Background(), record(5), record(6), sized(7, 2000))
	require.ErrorIs(t, err, bridge.ErrFull)
	require.NotErrorIs(t, err, bridge.ErrUnknown)
	d.set(func(d *disk) {
		d.onWrite = func(_ string, b []byte, _ int64, do func([]byte) error) error {
			require.NoError(t, do(b[:len(b)/2]))
			return syscall.EIO
		}
	})
	require.ErrorIs(t, j.Append(context.Background(), record(8)), bridge.ErrUnknown)
	d.set(func(d *disk) { d.onWrite = nil })
	want = append(want, fill(t, j, 10, 12)...)
	got, _ := drain(t, j, 0)
	same(t, want, got)
	require.NoError(t, j.Close())
	j = open(t, dir, Config{})
	got, _ = drain(t, j, 0)
	same(t, want, got)
}

// A disk that hangs holds nobody up whose patience has ended.
func TestDiskHangs(t *testing.T) {
	t.Parallel()
	d := newDisk()
	j := open(t, t.TempDir(), Config{vfs: d})
	want := fill(t, j, 0, 2)
	entered, release := make(chan struct{}), make(chan struct{})
	d.set(func(d *disk) {
		d.onSync = func(_ string, do func() error) error {
			entered <- struct{}{}
			<-release
			return do()
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	first, second := make(chan error), make(chan error)
	hung := record(2)
	go func() { first <- j.Append(ctx, hung) }()
	<-entered
	go func() { second <- j.Append(ctx, record(3)) }()
	cancel()
	err := <-first
	require.ErrorIs(t, err, bridge.ErrUnknown)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, hung.Sequence)
	require.ErrorIs(t, <-second, bridge.ErrUnavailable, "surely not stored")
	_, through := drain(t, j, 0)
	require.EqualValues(t, 2, through, "what hangs is not read")
	require.EqualValues(t, 2, j.State().Last)

	d.set(func(d *disk) { d.onSync = nil })
	close(release)
	want = append(want, fill(t, j, 4, 6)...)
	got, _ := drain(t, j, 0)
	require.Equal(t, record(2).Body, got[2].Body, "it was stored in the end")
	same(t, want, append(got[:2:2], got[3:]...))
}

// What the reader cannot open for want of files says nothing about the records.
func TestReadFails(t *testing.T) {
	t.Parallel()
	raised, d := &alarms{}, newDisk()
	j := open(t, t.TempDir(), Config{Alarms: raised, vfs: d, HotBytes: 1, SegmentBytes: 16 << 10})
	want := fill(t, j, 0, 100)
	d.set(func(d *disk) { d.onOpen = fails(0, 1, false, syscall.EMFILE) })
	_, through, err := j.Next(context.Background(), 0, 10, 1<<20)
	require.ErrorIs(t, err, syscall.EMFILE)
	require.Zero(t, through)
	got, _ := drain(t, j, 0)
	same(t, want, got)
	require.Empty(t, raised.all)

	// One block of the disk cannot be read: the records in it go, and no others.
	d.set(func(d *disk) {
		d.onRead = func(_ string, b []byte, off int64) error {
			if off < 8192 && off+int64(len(b)) > 4096 {
				return syscall.EIO
			}
			return nil
		}
	})
	got, _ = drain(t, j, 0)
	require.Less(t, len(got), 100)
	require.Greater(t, len(got), 30)
	lost := raised.of(bridge.AlarmJournalDamaged)
	require.NotEmpty(t, lost)
	told := uint64(0)
	for _, alarm := range lost {
		told += alarm.Details["records"].(uint64)
	}
	require.EqualValues(t, 100-len(got), told)
	again, _ := drain(t, j, 0)
	require.Equal(t, got, again)
	require.Len(t, raised.of(bridge.AlarmJournalDamaged), len(lost), "told once")
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	raised := &alarms{}
	j := open(t, "/proc/sys", Config{Alarms: raised})
	err := j.Begin()
	require.ErrorIs(t, err, bridge.ErrUnavailable)
	require.ErrorContains(t, err, "/proc/sys")
	require.ErrorContains(t, err, "must be writable")
	require.Len(t, raised.of(bridge.AlarmJournalFailed), 1)
	_, err = Open("/proc/hookspan", Config{})
	require.ErrorContains(t, err, "choose a folder")
}

func TestFolderElsewhere(t *testing.T) {
	t.Parallel()
	other, err := os.MkdirTemp("/dev/shm", "journal")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	link := filepath.Join(t.TempDir(), "journal")
	require.NoError(t, os.Symlink(other, link))
	for life := range 2 {
		j := open(t, link, Config{})
		require.NoError(t, j.Begin())
		fill(t, j, 0, 10)
		got, _ := drain(t, j, 0)
		require.Len(t, got, 10*(life+1))
		require.NoError(t, j.Close())
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "format"), []byte("2\n"), 0o600))
	_, err := Open(dir, Config{})
	require.ErrorContains(t, err, filepath.Join(dir, "format"))
	require.ErrorContains(t, err, "format 2")
	require.ErrorContains(t, err, "use the newer Hookspan")
}
