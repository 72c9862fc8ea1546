package stream_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// load lets 200 messages wait all the time, until a conclusion. A batch of n costs 10 ms, a
// single so much, and each of them the latency on top. It returns the sizes of the trials.
func load(t *testing.T, p *stream.BatchCost, n int, single, latency time.Duration) (trials []int) {
	t.Helper()
	for range 100 {
		p.Batch(n, latency+10*time.Millisecond)
		if p.WantsTrial() {
			size := p.Due(200)
			trials = append(trials, size)
			p.Trial(size, latency+time.Duration(size)*single)
			require.False(t, p.WantsTrial(), "two trials in a row")
		}
	}
	return trials
}

func TestBreakEven(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		batch           int
		single, latency time.Duration
		trials          []int
		breakEven       int
	}{
		"slow disk":            {100, 2 * time.Millisecond, 0, []int{8, 8, 8}, 8},
		"fast disk":            {100, 190 * time.Microsecond, 0, []int{8, 16, 32, 64, 64, 64}, 8},
		"fast disk, busy":      {100, 190 * time.Microsecond, 5 * time.Millisecond, []int{8, 16, 32, 64, 64, 64}, 8},
		"fast disk, a spool":   {1000, 190 * time.Microsecond, 5 * time.Millisecond, []int{8, 16, 32}, 8},
		"no sync":              {100, 20 * time.Microsecond, 0, []int{8, 16, 32, 64, 100}, 200},
		"no sync, busy or far": {100, 20 * time.Microsecond, 20 * time.Millisecond, []int{8, 16, 32, 64, 100}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := stream.NewBatchCost(0)
				require.Equal(t, 8, p.BreakEven())
				<-time.After(time.Hour)
				require.Equal(t, c.trials, load(t, p, c.batch, c.single, c.latency))
				require.Equal(t, c.breakEven, p.BreakEven())

				// The conclusion is used for a while, and then measured anew.
				<-time.After(10 * time.Second)
				require.Equal(t, 8, p.BreakEven())
				require.Equal(t, []int{8, 8, 8}, load(t, p, 100, time.Second, 0))
				require.Equal(t, 8, p.BreakEven())
			})
		})
	}
}

func TestTrialsNeedThoseThatWait(t *testing.T) {
	t.Parallel()
	p := stream.NewBatchCost(0)
	require.False(t, p.WantsTrial(), "nobody knows yet what a batch costs")
	for range 4 {
		p.Batch(20, 10*time.Millisecond)
	}
	require.True(t, p.WantsTrial())
	require.Zero(t, p.Due(7))
	require.Equal(t, 8, p.Due(8))
	p.Trial(8, time.Millisecond)
	p.Batch(20, 10*time.Millisecond)
	require.Equal(t, 15, p.Due(15))
	require.Equal(t, 16, p.Due(17))
	// Fewer wait than a batch used to have: the trials end nevertheless.
	for range 100 {
		p.Batch(20, 10*time.Millisecond)
		if p.WantsTrial() {
			p.Trial(10, time.Millisecond)
		}
	}
	require.False(t, p.WantsTrial())
	require.Equal(t, 8, p.BreakEven())
}

func TestBreakEvenThatIsSet(t *testing.T) {
	t.Parallel()
	p := stream.NewBatchCost(5)
	require.False(t, p.WantsTrial())
	for range 10 {
		p.Batch(5, time.Hour)
	}
	require.Equal(t, 5, p.BreakEven())
}
