// Package housekeeping looks after the streams while the bridge runs: it makes room in the
// stream of events, and finds lost and unreadable messages and jumps of the clock. It reports
// findings as alarms and never stops the bridge from accepting webhooks.
package housekeeping

import (
	"context"
	"time"
)

// every calls do at once and then at each interval until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
