package journal

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

func TestRecordsComeBackInThisAndTheNextProcess(t *testing.T) {
	t.Parallel()
	for _, small := range []Config{{}, {SegmentBytes: 16 << 10, HotBytes: 1}} {
		raised := &alarms{}
		small.Alarms = raised
		dir := filepath.Join(t.TempDir(), "missing", "journal")
		j := open(t, dir, small)
		want := fill(t, j, 0, 300)
		together := []*Record{record(300), record(301), record(302)}
		add(t, j, together...)
		want = append(want, together...)
		for i, r := range want {
			require.Equal(t, uint64(i+1), r.Sequence)
		}
		got, through := drain(t, j, 0)
		same(t, want, got)
		require.EqualValues(t, 303, through)
		require.NoError(t, j.Close())

		j = open(t, dir, small)
		more := fill(t, j, 400, 450)
		require.Greater(t, more[0].Sequence, uint64(303))
		got, through = drain(t, j, 0)
		same(t, append(want, more...), got)
		require.Equal(t, more[49].Sequence, through)
		var each []Record
		require.NoError(t, j.Each(context.Background(), func(r Record) error {
			r.Body = append([]byte{}, r.Body...)
			each = append(each, r)
			return nil
		}))
		require.Equal(t, got, each)
		require.EqualValues(t, 353, j.State().Records)
		require.Empty(t, raised.all)
	}
}

func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, dir, Config{})
	fill(t, j, 0, 10)
	require.NoError(t, j.Close())
	before := tree(t, dir)

	j = open(t, dir, Config{})
	got, _ := drain(t, j, 0)
	require.Len(t, got, 10)
	_, err := j.Aside()
	require.NoError(t, err)
	require.NoError(t, j.Close())
	require.Equal(t, before, tree(t, dir))
}

// tree is every file of a folder with its content and time.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			found[path] = ""
			return err
		}
		info, err := entry.Info()
		require.NoError(t, err)
		text, err := os.ReadFile(path)
		found[path] = info.ModTime().String() + string(text)
		return err
	}))
	return found
}

func TestSettled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, dir, Config{SegmentBytes: 32 << 10})
	require.Zero(t, j.Checkpoint())
	fill(t, j, 0, 200)
	j.Settle(150, map[string]uint64{"EVENTS": 7, "REFUSED": 3})
	j.Settle(140, map[string]uint64{"EVENTS": 9})
	c := j.Checkpoint()
	require.EqualValues(t, 150, c.Settled)
	require.EqualValues(t, 200, c.Last)
	require.Equal(t, map[string]uint64{"EVENTS": 9, "REFUSED": 3}, c.Streams)
	require.EqualValues(t, 50, j.State().Records)
	require.NoError(t, j.Close())

	j = open(t, dir, Config{})
	require.Equal(t, c, j.Checkpoint())
	got, _ := drain(t, j, c.Settled)
	require.Len(t, got, 50)
	require.EqualValues(t, 151, got[0].Sequence)
	j.Settle(200, nil)
	require.Zero(t, j.State().Records)
	require.Zero(t, j.State().Bytes)
	require.Zero(t, j.State().Oldest)
	j.Settle(1<<60, nil)
	require.EqualValues(t, 200, j.Checkpoint().Settled, "what was not given out cannot be settled")
}

func TestNextKeepsItsLimits(t *testing.T) {
	t.Parallel()
	for _, hot := range []int64{1, 16 << 20} {
		j := open(t, t.TempDir(), Config{HotBytes: hot})
		for n := range 10 {
			add(t, j, sized(n, 1000))
		}
		records, through, err := j.Next(context.Background(), 2, 3, 1<<20)
		require.NoError(t, err)
		require.Len(t, records, 3)
		require.EqualValues(t, 5, through)
		records, _, err = j.Next(context.Background(), 0, 100, 3000)
		require.NoError(t, err)
		require.Len(t, records, 2)
		records, through, err = j.Next(context.Background(), 9, 100, 1)
		require.NoError(t, err)
		require.Len(t, records, 1, "one comes even if it is larger")
		require.EqualValues(t, 10, through)
	}
}

func TestNextWaits(t *testing.T) {
	t.Parallel()
	j := open(t, t.TempDir(), Config{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, through, err := j.Next(ctx, 0, 1, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, through)

	got := make(chan []Record)
	go func() {
		records, _, _ := j.Next(context.Background(), 0, 1, 1)
		got <- records
	}()
	want := fill(t, j, 1, 2)
	same(t, want, <-got)

	failed := make(chan error)
	go func() {
		_, _, err := j.Next(context.Background(), 1, 1, 1)
		failed <- err
	}()
	require.NoError(t, j.Close())
	require.ErrorIs(t, <-failed, bridge.ErrUnavailable)
}

func TestClosedJournalRefuses(t *testing.T) {
	t.Parallel()
	j := open(t, t.TempDir(), Config{})
	require.NoError(t, j.Close())
	require.NoError(t, j.Close())
	require.ErrorIs(t, j.Append(context.Background(), record(1)), bridge.ErrUnavailable)
	require.ErrorIs(t, j.Begin(), bridge.ErrUnavailable)
}

func TestAppendThatCannotBeStored(t *testing.T) {
	t.Parallel()
	j := open(t, t.TempDir(), Config{MaxBytes: 40 << 20})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	require.ErrorIs(t, j.Append(ctx, record(1)), bridge.ErrUnavailable)
	require.ErrorIs(t, j.Append(context.Background(), sized(1, 16<<20)), bridge.ErrTooLarge)
	require.ErrorIs(t, j.Append(context.Background(), sized(1, 15<<20), sized(2, 15<<20), sized(3, 15<<20)), bridge.ErrTooLarge)
	long := record(1)
	long.Subject = string(make([]byte, 70_000))
	require.ErrorIs(t, j.Append(context.Background(), long), bridge.ErrTooLarge)
	require.NoError(t, j.Append(context.Background()))
	require.Zero(t, j.State().Last)
}

func TestFullJournalRefusesUntilSomethingIsSettled(t *testing.T) {
	t.Parallel()
	raised := &alarms{}
	j := open(t, t.TempDir(), Config{MaxBytes: 100_000, Alarms: raised})
	var err error
	n := 0
	for ; err == nil; n++ {
		err = j.Append(context.Background(), sized(n, 9_000))
	}
	require.ErrorIs(t, err, bridge.ErrFull)
	require.NotErrorIs(t, err, bridge.ErrUnknown)
	require.Equal(t, 11, n)
	require.Len(t, raised.of(bridge.AlarmJournalFull), 1)
	require.ErrorIs(t, j.Append(context.Background(), sized(n, 9_000)), bridge.ErrFull)
	require.Empty(t, j.State().Failure, "to be full is no fault")

	j.Settle(5, nil)
	add(t, j, sized(n, 9_000))
	j.Settle(11, nil)
	require.Zero(t, j.State().Bytes, "a part of a segment that is settled counts no more")
	j.Look()
	over := raised.of(bridge.AlarmJournalFull)
	require.Len(t, over, 3)
	require.True(t, over[2].Cleared)
	for err = nil; err == nil; n++ {
		err = j.Append(context.Background(), sized(n, 9_000))
	}
	require.False(t, raised.of(bridge.AlarmJournalFull)[3].Cleared)
}

// Records of every size around what is read at once are found by the next process, wherever
// they lie.
func TestRecordsOfEverySize(t *testing.T) {
	t.Parallel()
	raised := &alarms{}
	dir := t.TempDir()
	j := open(t, dir, Config{Alarms: raised})
	var want []*Record
	put := func(sizes ...int) {
		for _, size := range sizes {
			r := sized(len(want), size)
			add(t, j, r)
			want = append(want, r)
		}
	}
	for size := window - 300; size <= window+20; size += 3 {
		put(size, size%7)
	}
	for more := range 16 {
		put(2*window+more, 0, 5*window+more, 1)
	}
	require.NoError(t, j.Close())
	j = open(t, dir, Config{Alarms: raised})
	got, _ := drain(t, j, 0)
	same(t, want, got)
	require.Empty(t, raised.of(bridge.AlarmJournalDamaged))
}
