package journal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// powerRuns is how often the power is cut, each time in the middle of another operation.
const powerRuns = 300

// After a power cut everything that was acknowledged is there, every record is what was
// appended, and none comes twice; also after syncs that failed and restarts between them.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	for run := range uint64(powerRuns) {
		ok := t.Run(fmt.Sprintf("seed %d", seed+run), func(t *testing.T) {
			l := &life{t: t, random: rand.New(rand.NewPCG(seed+run, 0)), alarms: &alarms{}}
			dir := filepath.Join(t.TempDir(), "0")
			require.NoError(t, os.Mkdir(dir, 0o750))
			for n := range 3 {
				dir = l.live(dir, filepath.Join(t.TempDir(), fmt.Sprint(n)))
				l.check(dir)
			}
		})
		if !ok {
			return
		}
	}
}

// life is one machine over several power cuts.
type life struct {
	t      *testing.T
	random *rand.Rand
	alarms *alarms

	mu      sync.Mutex
	tried   int               // records with lower numbers were appended, or tried to
	acked   map[uint64]string // subjects by sequence
	settled uint64
}

// live runs processes on the folder until the power is cut, and returns what is left.
func (l *life) live(dir, image string) string {
	p := newPlatter(l.t, dir, l.random)
	require.NoError(l.t, os.Mkdir(image, 0o750))
	failing := l.random.IntN(3) == 0
	p.failSync = func() error {
		if failing && l.random.IntN(8) == 0 {
			return syscall.EIO
		}
		return nil
	}
	cut := make(chan struct{})
	var acked map[uint64]string
	p.cutIn = 1 + l.random.IntN(60)
	p.cut = func() {
		l.mu.Lock()
		acked = maps.Clone(l.acked)
		l.mu.Unlock()
		p.image(image)
		close(cut)
	}
	for alive := true; alive; {
		p.mu.Lock()
		appends := 5 + l.random.IntN(40)
		p.mu.Unlock()
		alive = l.process(dir, p, appends, cut)
	}
	l.acked = acked
	return image
}

// process is one process, which ends by Close. It reports whether the power is still on.
func (l *life) process(dir string, p *platter, appends int, cut chan struct{}) bool {
	j := open(l.t, dir, Config{vfs: p, SegmentBytes: 8 << 10, Alarms: l.alarms, interval: time.Millisecond})
	defer func() { require.NoError(l.t, j.Close()) }()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			for range appends {
				select {
				case <-cut:
					return
				default:
				}
				if !l.append(j) {
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case <-cut:
		return false
	default:
		return true
	}
}

func (l *life) append(j *Journal) bool {
	l.mu.Lock()
	batch := make([]*Record, 1+l.tried%3)
	for i := range batch {
		batch[i] = record(l.tried)
		l.tried++
	}
	l.mu.Unlock()
	err := j.Append(context.Background(), batch...)
	if err != nil {
		return errors.Is(err, bridge.ErrUnknown)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range batch {
		if l.acked == nil {
			l.acked = map[uint64]string{}
		}
		l.acked[r.Sequence] = r.Subject
	}
	if settle := batch[0].Sequence; l.tried%29 == 0 && settle > 20 {
		l.settled = max(l.settled, settle-20)
		j.Settle(settle-20, nil)
	}
	return true
}

// check reads what the power cut left.
func (l *life) check(dir string) {
	j := open(l.t, dir, Config{Alarms: l.alarms})
	defer func() { require.NoError(l.t, j.Close()) }()
	from := j.Checkpoint().Settled
	require.LessOrEqual(l.t, from, l.settled)
	got, _ := drain(l.t, j, from)
	subjects, sequences := map[string]bool{}, map[uint64]string{}
	for _, r := range got {
		var n int
		_, err := fmt.Sscanf(r.Subject, "hookspan.events.get3w.%d", &n)
		require.NoError(l.t, err)
		require.Less(l.t, n, l.tried)
		want := record(n)
		want.Sequence, want.At = r.Sequence, r.At
		require.Equal(l.t, *want, r)
		require.False(l.t, subjects[r.Subject], "twice")
		subjects[r.Subject], sequences[r.Sequence] = true, r.Subject
	}
	for sequence, subject := range l.acked {
		if sequence > from {
			require.Equal(l.t, subject, sequences[sequence], "record %d was acknowledged", sequence)
		}
	}
	require.Empty(l.t, l.alarms.of(bridge.AlarmJournalDamaged), "a power cut damages nothing")
	// What was found is durable from now on, acknowledged or not.
	l.acked = sequences
}

// A process goes on after one whose sync failed. What it acknowledges survives the power cut
// that shows that the failed pages never reached the disk.
func TestPowerCutAfterAFailedSyncAndARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := newPlatter(t, dir, rand.New(rand.NewPCG(1, 1)))
	p.failSync = func() error { return nil }
	j := open(t, dir, Config{vfs: p})
	want := fill(t, j, 0, 5)
	p.failSync = func() error {
		for _, file := range p.files {
			file.pending = nil
		}
		return syscall.EIO
	}
	require.ErrorIs(t, j.Append(context.Background(), record(5)), bridge.ErrUnknown)
	require.NoError(t, j.Close())

	p.failSync = func() error { return nil }
	j = open(t, dir, Config{vfs: p})
	want = append(want, fill(t, j, 10, 60)...)
	image := t.TempDir()
	p.mu.Lock()
	p.image(image)
	p.mu.Unlock()
	require.NoError(t, j.Close())
	j = open(t, image, Config{})
	got, _ := drain(t, j, 0)
	same(t, want, got)
}
