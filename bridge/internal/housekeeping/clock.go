package housekeeping

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

const (
	defaultTolerance = 5 * time.Second
	clockInterval    = time.Second
)

// ClockConfig of a [Clock]. Zero values are defaults.
type ClockConfig struct {
	// Tolerance is the largest jump without an alarm, default 5 s.
	Tolerance time.Duration
	Alarms    bridge.Alarmer
}

// Clock watches the wall clock for jumps: the ages of events, of duplicate ids and of stale
// deliveries depend on it.
type Clock struct {
	cfg  ClockConfig
	read func() (wall time.Time, steady time.Duration)

	wall   time.Time
	steady time.Duration
}

// NewClock returns a clock that is not running yet.
func NewClock(cfg ClockConfig) *Clock {
	cfg.Tolerance = cmp.Or(cfg.Tolerance, defaultTolerance)
	start := time.Now()
	return &Clock{cfg: cfg, read: func() (time.Time, time.Duration) {
		return time.Now().Round(0), time.Since(start) // Round strips the monotonic reading
	}}
}

// Run compares the clocks once a second until ctx ends, and returns nil.
func (c *Clock) Run(ctx context.Context) error {
	return every(ctx, clockInterval, c.compare)
}

func (c *Clock) compare() {
	wall, steady := c.read()
	first := c.wall.IsZero()
	jump := wall.Sub(c.wall) - (steady - c.steady)
	c.wall, c.steady = wall, steady
	if first || jump.Abs() <= c.cfg.Tolerance {
		return
	}
	direction, meaning := "forward", "events look older than they are: they may age out early, duplicates be taken for new ones and "+
		"retries be refused as stale (a machine that was suspended looks the same)"
	if jump < 0 {
		direction, meaning = "backward", "events look younger than they are: they stay longer, and replayed deliveries may pass for fresh ones"
	}
	c.cfg.Alarms.Raise(bridge.Alarm{
		Kind: bridge.AlarmClock, Subject: direction,
		Text:    fmt.Sprintf("the clock of this machine jumped %s by %v; %s: see to its time synchronisation", direction, jump.Abs(), meaning),
		Details: map[string]any{"seconds": jump.Seconds(), "to": wall},
	})
}
