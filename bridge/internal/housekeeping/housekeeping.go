// Package housekeeping looks after the streams while the bridge runs: it makes room in
// the stream of events, and finds what went missing, what cannot be read and a
// clock that jumped. Nothing here ever stops the bridge from accepting webhooks:
// what is found is an alarm.
package housekeeping

import (
	"context"
	"time"
)

// every does something at once and then once per interval until ctx ends.
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
