package stream

import "time"

const (
	// maxLinger bounds how long is waited after a batch, which otherwise is the
	// time that it took.
	maxLinger = 10 * time.Millisecond
	// quietBefore of that time without anything coming must have been before the
	// batch was committed: then all senders wait for it. quietAfter without
	// anything coming ends the wait.
	quietBefore = 8
	quietAfter  = 2
)

// linger is the time after a batch in which nothing is sent yet. Senders that wait
// for their answer come back with their next message as soon as they have it. If the
// next batch went off at once, they would be two halves that take turns for ever,
// each with a batch half as large as it could be, and with the other half competing
// for the processors.
type linger struct {
	until    time.Time
	quiet    time.Duration
	last     time.Time // when something came
	expected int       // how many messages there are when everybody is back
	armed    bool
}

// landedNow begins to linger after b. It needs the lock.
func (c *committer) landedNow(b *batch) {
	now := time.Now()
	c.flying, c.interrupt, c.lastLanding = nil, nil, now
	took := min(b.took, maxLinger)
	if b.err != nil || now.Sub(c.linger.last) < took/quietBefore {
		c.linger.until = time.Time{}
		return
	}
	c.linger = linger{until: now.Add(took), quiet: took / quietAfter, last: now, expected: len(b.members) + c.waiting()}
}

// waiting is how many are not on their way yet. It needs the lock.
func (c *committer) waiting() int {
	if c.open == nil {
		return len(c.queue)
	}
	return len(c.queue) + len(c.open.members)
}

// lingers says whether to wait still, and sees to it that the loop looks again when
// that is over. It needs the lock.
func (c *committer) lingers() bool {
	if c.waiting() >= c.linger.expected {
		return false
	}
	end := c.linger.last.Add(c.linger.quiet)
	if end.After(c.linger.until) {
		end = c.linger.until
	}
	left := time.Until(end)
	if left <= 0 {
		return false
	}
	if !c.linger.armed {
		c.linger.armed = true
		time.AfterFunc(left, func() {
			c.mu.Lock()
			c.linger.armed = false
			c.mu.Unlock()
			c.poke()
		})
	}
	return true
}
