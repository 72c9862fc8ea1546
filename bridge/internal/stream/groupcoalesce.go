package stream

import "time"

const (
	// maxCoalesce bounds the wait after a batch, which otherwise is as long as the batch took.
	maxCoalesce = 10 * time.Millisecond
	// The wait needs quietBefore of that time without arrivals before the commit, which shows
	// that all senders wait for it. quietAfter without arrivals ends the wait.
	quietBefore = 8
	quietAfter  = 2
)

// coalesce is the wait after a batch. Senders that wait for their answer send their next
// message as soon as they have it. If the next batch left at once, two halves of the senders
// would take turns for ever, each with a half-sized batch, and compete for the processors.
type coalesce struct {
	until    time.Time
	quiet    time.Duration
	last     time.Time // when the last message arrived
	expected int       // how many messages are expected once all senders are back
	armed    bool
}

// landedNow begins to coalesce after b. The caller holds the lock.
func (c *committer) landedNow(b *batch) {
	now := time.Now()
	c.flying, c.interrupt, c.lastLanding = nil, nil, now
	took := min(b.took, maxCoalesce)
	if b.err != nil || now.Sub(c.coalesce.last) < took/quietBefore {
		c.coalesce.until = time.Time{}
		return
	}
	c.coalesce = coalesce{until: now.Add(took), quiet: took / quietAfter, last: now, expected: len(b.members) + c.waiting()}
}

// waiting is how many messages wait to be sent. The caller holds the lock.
func (c *committer) waiting() int {
	if c.open == nil {
		return len(c.queue)
	}
	return len(c.queue) + len(c.open.members)
}

// coalesces reports whether to wait on, and wakes the loop when the wait is over. The caller
// holds the lock.
func (c *committer) coalesces() bool {
	if c.waiting() >= c.coalesce.expected {
		return false
	}
	end := c.coalesce.last.Add(c.coalesce.quiet)
	if end.After(c.coalesce.until) {
		end = c.coalesce.until
	}
	left := time.Until(end)
	if left <= 0 {
		return false
	}
	if !c.coalesce.armed {
		c.coalesce.armed = true
		time.AfterFunc(left, func() {
			c.mu.Lock()
			c.coalesce.armed = false
			c.mu.Unlock()
			c.poke()
		})
	}
	return true
}
