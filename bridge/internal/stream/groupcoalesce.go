package stream

import "time"

const (
	// maxLinger bounds how long is waited after a batch, which otherwise is the
	// time that it took.
	maxCoalesce = 10 * time.Millisecond
	// quietBefore of that time without anything coming must have been before the
	// batch was committed: then all senders wait for it. quietAfter without
	// anything coming ends the wait.
	quietBefore = 8
	quietAfter  = 2
)

// coalesce is the time after a batch in which nothing is sent yet. Senders that wait
// for their answer come back with their next message as soon as they have it. If the
// next batch went off at once, they would be two halves that take turns for ever,
// each with a batch half as large as it could be, and with the other half competing
// for the processors.
type coalesce struct {
	until    time.Time
	quiet    time.Duration
	last     time.Time // when something came
	expected int       // how many messages there are when everybody is back
	armed    bool
}

// landedNow begins to coalesce after b. It needs the lock.
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

// waiting is how many are not on their way yet. It needs the lock.
func (c *committer) waiting() int {
	if c.open == nil {
		return len(c.queue)
	}
	return len(c.queue) + len(c.open.members)
}

// coalesces says whether to wait still, and sees to it that the loop looks again when
// that is over. It needs the lock.
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
