package consumers

import (
	"sync"
	"time"
)

// maxClaimsSeen bounds the claims of other workers that a process watches. Beyond it the process
// begins to watch anew, and only waits for longer.
const maxClaimsSeen = 10_000

// claimsSeen has since when this process sees the claims of others as they are, by its own steady
// clock: the clocks of two processes may differ by more than a claim lasts. It is safe for
// concurrent use.
type claimsSeen struct {
	mu   sync.Mutex
	seen map[string]claimSeen
}

type claimSeen struct {
	revision uint64
	since    time.Time
}

// unchanged returns for how long the record under the key has had this revision.
func (c *claimsSeen) unchanged(key string, revision uint64) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, known := c.seen[key]
	if known && have.revision == revision {
		return time.Since(have.since)
	}
	if c.seen == nil || !known && len(c.seen) >= maxClaimsSeen {
		c.seen = map[string]claimSeen{}
	}
	c.seen[key] = claimSeen{revision, time.Now()}
	return 0
}

func (c *claimsSeen) forget(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.seen, key)
}
