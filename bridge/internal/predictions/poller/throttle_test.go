package poller

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func TestProviderIsLeftAloneAsLongAsItSays(t *testing.T) {
	t.Parallel()
	times := defaultTimings()
	now := foldtest.Noon
	th := &throttle{times: &times}
	pause := func(after time.Duration) time.Duration {
		began := now
		th.later(began, now, after)
		d := th.pausedUntil().Sub(now)
		now = now.Add(max(d, 0) + time.Millisecond)
		return d
	}
	require.Equal(t, 30*time.Second, pause(0))
	require.Equal(t, time.Minute, pause(0))
	for range 10 {
		pause(0)
	}
	require.Equal(t, 10*time.Minute, pause(0))
	require.Equal(t, 10*time.Minute, pause(time.Second))
	require.Equal(t, 20*time.Minute, pause(20*time.Minute), "never less than it says")
	require.Equal(t, time.Hour, pause(24*time.Hour))
	th.answered(now, true)
	require.Equal(t, 5*time.Second, pause(5*time.Second))
	require.Equal(t, 10*time.Second, pause(5*time.Second))
}

// Four polls in flight have one cause to fail.
func TestWhatFailsAtOnceIsOnePause(t *testing.T) {
	t.Parallel()
	times := defaultTimings()
	th := &throttle{times: &times}
	for range 4 {
		th.later(foldtest.Noon, foldtest.Noon.Add(time.Second), 0)
	}
	require.Equal(t, foldtest.Noon.Add(31*time.Second), th.pausedUntil())
	th = &throttle{times: &times}
	for n := range 4 {
		require.Equal(t, n+1, th.failed(foldtest.Noon, foldtest.Noon.Add(time.Second)))
	}
	require.Equal(t, foldtest.Noon.Add(6*time.Second), th.pausedUntil())
	th.failed(foldtest.Noon.Add(7*time.Second), foldtest.Noon.Add(7*time.Second))
	require.Equal(t, foldtest.Noon.Add(17*time.Second), th.pausedUntil())
	require.True(t, th.troubled())
	th.answered(foldtest.Noon.Add(20*time.Second), false)
	require.False(t, th.troubled())
	require.Equal(t, 1, th.failed(foldtest.Noon.Add(20*time.Second), foldtest.Noon.Add(20*time.Second)))
	require.Equal(t, foldtest.Noon.Add(17*time.Second), th.pausedUntil(), "one alone can be about its prediction")
}
