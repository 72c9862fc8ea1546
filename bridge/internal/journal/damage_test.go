package journal

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// written makes a journal of two generations of several segments and returns its folder,
// records and segments.
func written(t testing.TB) (dir string, want []*Record, segments []string) {
	t.Helper()
	dir = t.TempDir()
	for life := range 2 {
		j := open(t, dir, Config{SegmentBytes: 4 << 10})
		for n := range 15 {
			r := sized(life*100+n, 200+n)
			add(t, j, r)
			want = append(want, r)
		}
		require.NoError(t, j.Close())
	}
	segments, err := filepath.Glob(filepath.Join(dir, "0*", "*.wal"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(segments), 4)
	return dir, want, segments
}

// reads returns what a process finds in the folder, and requires that every record is one that
// was written and that each one that is missing is told of.
func reads(t testing.TB, dir string, want []*Record) (lost []uint64, raised *alarms) {
	t.Helper()
	raised = &alarms{}
	j := open(t, dir, Config{Alarms: raised})
	got, _ := drain(t, j, 0)
	require.NoError(t, j.Close())
	next := 0
	for _, r := range want {
		if next < len(got) && got[next].Sequence == r.Sequence {
			require.Equal(t, *r, got[next])
			next++
			continue
		}
		lost = append(lost, r.Sequence)
	}
	require.Equal(t, len(got), next, "nothing is invented")
	told := map[uint64]int{}
	for _, alarm := range raised.of(bridge.AlarmJournalDamaged) {
		first, ok := alarm.Details["first"].(uint64)
		if !ok {
			continue
		}
		last := alarm.Details["last"].(uint64)
		require.Less(t, last-first, uint64(1000), "of a sequence that was never given out")
		for sequence := first; sequence <= last; sequence++ {
			told[sequence]++
		}
	}
	for _, sequence := range lost {
		require.Equal(t, 1, told[sequence], "the loss of record %d is told once", sequence)
	}
	require.Len(t, told, len(lost), "nothing else is told lost")
	return lost, raised
}

// Every kind of byte: body, header, our prefix, the engine's frames, commits, index and file
// header. A byte costs at most the record that it is in.
func TestEveryByteThatFlips(t *testing.T) {
	t.Parallel()
	dir, want, segments := written(t)
	flips, losses := 0, 0
	for _, path := range segments {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for at := 0; at < len(text); at += 5 {
			damaged := append([]byte(nil), text...)
			damaged[at] ^= 1 << (at % 8)
			require.NoError(t, os.WriteFile(path, damaged, 0o600))
			lost, _ := reads(t, dir, want)
			require.LessOrEqual(t, len(lost), 1, "%s at %d", path, at)
			flips++
			losses += len(lost)
		}
		require.NoError(t, os.WriteFile(path, text, 0o600))
	}
	require.Greater(t, losses, flips/4)
	require.Less(t, losses, flips)
}

func TestFilesThatAreDamaged(t *testing.T) {
	t.Parallel()
	cut := func(size int64) func(testing.TB, string) {
		return func(t testing.TB, path string) { require.NoError(t, os.Truncate(path, size)) }
	}
	zero := func(from, n int) func(testing.TB, string) {
		return func(t testing.TB, path string) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			clear(text[from : from+n])
			require.NoError(t, os.WriteFile(path, text, 0o600))
		}
	}
	remove := func(t testing.TB, path string) { require.NoError(t, os.Remove(path)) }
	for name, test := range map[string]struct {
		damage  func(testing.TB, string)
		atLeast int // records of a segment that are lost
		atMost  int
	}{
		"missing":           {remove, 3, 12},
		"empty":             {cut(0), 3, 12},
		"cut in the middle": {cut(1000), 1, 11},
		"zeroed header":     {zero(0, 32), 0, 0},
		"zeroed frame":      {zero(32, 8), 0, 0},
		"zeroed records":    {zero(100, 1000), 3, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, want, segments := written(t)
			for i, path := range segments {
				copied := t.TempDir()
				require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
				relative, err := filepath.Rel(dir, path)
				require.NoError(t, err)
				test.damage(t, filepath.Join(copied, relative))
				lost, raised := reads(t, copied, want)
				require.GreaterOrEqual(t, len(lost), test.atLeast, "segment %d of %d", i, len(segments))
				require.LessOrEqual(t, len(lost), test.atMost)
				// It keeps nobody from accepting, and no sequence comes again.
				j := open(t, copied, Config{})
				r := record(1)
				add(t, j, r)
				require.Greater(t, r.Sequence, want[len(want)-1].Sequence)
				require.NoError(t, j.Close())
				if len(lost) > 0 {
					require.NotEmpty(t, raised.all)
				}
			}
		})
	}
}

// Whatever else is in the folder, or is gone from it, keeps nobody from accepting.
func TestOtherFilesThatAreDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(testing.TB, string, []string){
		"engine's metadata": func(t testing.TB, _ string, segments []string) {
			for _, path := range segments {
				require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "wal-meta.db"), []byte("garbage"), 0o600))
			}
		},
		"strangers": func(t testing.TB, dir string, segments []string) {
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(segments[0]), "x.wal"), []byte("garbage"), 0o600))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o750))
		},
		"no position": func(t testing.TB, dir string, _ []string) {
			require.NoError(t, os.Remove(filepath.Join(dir, positionFile)))
		},
		"empty position": func(t testing.TB, dir string, _ []string) {
			require.NoError(t, os.Truncate(filepath.Join(dir, positionFile), 0))
		},
		"no format": func(t testing.TB, dir string, _ []string) {
			require.NoError(t, os.Remove(filepath.Join(dir, formatFile)))
		},
		"damaged format": func(t testing.TB, dir string, _ []string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, formatFile), []byte("q\n"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, want, segments := written(t)
			damage(t, dir, segments)
			lost, _ := reads(t, dir, want)
			require.Empty(t, lost)
			j := open(t, dir, Config{})
			r := record(1)
			add(t, j, r)
			require.Greater(t, r.Sequence, want[len(want)-1].Sequence)
		})
	}
}

func TestEveryByteOfThePositionThatFlips(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, dir, Config{})
	want := fill(t, j, 0, 20)
	j.Settle(10, map[string]uint64{"EVENTS": 10})
	require.NoError(t, j.Close())
	path := filepath.Join(dir, positionFile)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for at := range text {
		damaged := append([]byte(nil), text...)
		damaged[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(path, damaged, 0o600))
		raised := &alarms{}
		j := open(t, dir, Config{Alarms: raised})
		require.Zero(t, j.Checkpoint().Settled, "forwarded again rather than not at all")
		require.Len(t, raised.of(bridge.AlarmJournalDamaged), 1)
		got, _ := drain(t, j, 0)
		same(t, want, got)
		require.NoError(t, j.Close())
	}
}

// After a kill the position may say nothing. Of the last batch nobody knows whether it was ever
// synced; any other loss is told, also when the newest segment has no record yet.
func TestDamageWithoutAPosition(t *testing.T) {
	t.Parallel()
	for _, empty := range []bool{false, true} {
		dir, want, segments := written(t)
		require.NoError(t, os.Remove(filepath.Join(dir, positionFile)))
		if empty {
			last := want[len(want)-1].Sequence
			name := fmt.Sprintf("%020d-%016x.wal", last+1, 99)
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(segments[len(segments)-1]), name), make([]byte, 4096), 0o600))
		}
		for _, path := range segments {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			damaged := append([]byte(nil), text...)
			damaged[second(t, path, text)] ^= 1
			require.NoError(t, os.WriteFile(path, damaged, 0o600))
			lost, _ := reads(t, dir, want)
			require.Len(t, lost, 1)
			require.NoError(t, os.WriteFile(path, text, 0o600))
		}
	}
}

// second is where the second record of a segment is.
func second(t testing.TB, path string, text []byte) int64 {
	t.Helper()
	g, ok := parseGeneration(filepath.Base(filepath.Dir(path)))
	require.True(t, ok)
	scan := scanner{file: bytes.NewReader(text), mark: g.mark}
	var begins int64
	for range 2 {
		record, at, err := scan.next()
		require.NoError(t, err)
		require.NotNil(t, record)
		begins = at
	}
	return begins
}

// A generation that is gone as a whole is missed, and so is one whose tail went.
func TestGenerationIsGone(t *testing.T) {
	t.Parallel()
	for gone := range 2 {
		dir, want, segments := written(t)
		folder := filepath.Dir(segments[gone*(len(segments)-1)])
		require.NoError(t, os.RemoveAll(folder))
		lost, _ := reads(t, dir, want)
		require.Len(t, lost, 15)
		j := open(t, dir, Config{})
		r := record(1)
		add(t, j, r)
		require.Greater(t, r.Sequence, want[len(want)-1].Sequence)
	}
}

// Sequences never come again, not even when all was settled and trimmed, and the position and
// every record are lost.
func TestSequencesNeverComeAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	highest := uint64(0)
	for life := range 8 {
		j := open(t, dir, Config{SegmentBytes: 4 << 10})
		for _, r := range fill(t, j, 0, 50) {
			require.Greater(t, r.Sequence, highest)
			highest = r.Sequence
		}
		j.Settle(highest, nil)
		require.NoError(t, j.Close())
		if life%2 == 1 {
			require.NoError(t, os.Remove(filepath.Join(dir, positionFile)))
		}
		if life%4 == 3 {
			segments, err := filepath.Glob(filepath.Join(dir, "0*", "*.wal"))
			require.NoError(t, err)
			for _, path := range segments {
				require.NoError(t, os.Truncate(path, 0))
			}
		}
	}
}

// A body that looks like records does not become one when the record around it is damaged.
func TestBodyThatLooksLikeARecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := open(t, dir, Config{})
	forged, err := encode(record(666), record(1).At)
	require.NoError(t, err)
	outer := record(1)
	outer.Body = nil
	for mark := range 8 { // whatever the alignment
		forged.stamp(uint64(mark), 2, 0)
		outer.Body = append(append(outer.Body, forged.data...), 0)
	}
	add(t, j, outer, record(2))
	require.NoError(t, j.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "0*", "*.wal"))
	require.NoError(t, err)
	text, err := os.ReadFile(segments[0])
	require.NoError(t, err)
	text[40+prefixLen] ^= 1
	require.NoError(t, os.WriteFile(segments[0], text, 0o600))
	j = open(t, dir, Config{})
	records, through, err := j.Next(context.Background(), 0, 10, 1<<20)
	require.NoError(t, err)
	require.Len(t, records, 1)
	require.Equal(t, record(2).Body, records[0].Body)
	require.EqualValues(t, 2, through)
}
