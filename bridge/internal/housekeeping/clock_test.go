package housekeeping

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/natstest"
)

func TestClock(t *testing.T) {
	t.Parallel()
	alarms := &natstest.Alarms{}
	c := NewClock(ClockConfig{Alarms: alarms})
	wall, steady := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Duration(0)
	c.read = func() (time.Time, time.Duration) { return wall, steady }
	pass := func(onWall, really time.Duration) []bridge.Alarm {
		wall, steady = wall.Add(onWall), steady+really
		c.compare()
		return alarms.Take()
	}
	require.Empty(t, pass(0, 0), "the first look")
	require.Empty(t, pass(time.Second, time.Second))
	require.Empty(t, pass(time.Hour, time.Hour), "a busy machine")
	require.Empty(t, pass(4*time.Second, time.Second), "a small correction")

	forward := pass(2*time.Hour+time.Second, time.Second)
	require.Len(t, forward, 1)
	require.Equal(t, bridge.AlarmClock, forward[0].Kind)
	require.Contains(t, forward[0].Text, "jumped forward by 2h0m0s")
	require.Empty(t, pass(time.Second, time.Second), "said once")

	backward := pass(-time.Minute+time.Second, time.Second)
	require.Len(t, backward, 1)
	require.Contains(t, backward[0].Text, "jumped backward by 1m0s")

	c = NewClock(ClockConfig{Alarms: alarms})
	for range 1000 {
		c.compare()
	}
	require.Empty(t, alarms.Take(), "the real clock")
}
