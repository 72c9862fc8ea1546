package submit

import "sync"

// maxUnsent bounds what is remembered of claims that are to be forgotten.
const maxUnsent = 1024

// claims are those of this process under which the provider has nothing, and whose record
// may be there all the same: that it was written down was learnt too late, or it could
// not be removed. It is safe for concurrent use.
type claims struct {
	mu  sync.Mutex
	set map[string]struct{}
}

// add forgets all others when there are too many: then their keys cannot be used again
// before their records expire.
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
