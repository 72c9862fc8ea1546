package submit

import "sync"

// maxUnsent bounds the remembered claims.
const maxUnsent = 1024

// claims are claims of this process for which nothing was sent but whose record may exist
// all the same: it was written too late, or could not be removed. It is safe for concurrent
// use.
type claims struct {
	mu  sync.Mutex
	set map[string]struct{}
}

// add forgets all others when there are too many: their keys cannot be used again before
// their records expire.
func (c *claims) add(claim string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set == nil || len(c.set) == maxUnsent {
		c.set = map[string]struct{}{}
	}
	c.set[claim] = struct{}{}
}

func (c *claims) has(claim string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.set[claim]
	return ok
}

func (c *claims) remove(claim string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.set, claim)
}
