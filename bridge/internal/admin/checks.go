package admin

import "sync"

// Check returns why no webhook can be stored now, in one sentence for an operator, or "".
// Each request of /readyz calls it, concurrently: it must not wait for anything.
type Check func() (reason string)

// Checks decide about /readyz: the process is ready while each of them returns "". The zero
// value is usable; it is safe for concurrent use.
type Checks struct {
	mu   sync.RWMutex
	list []Check
}

// Add adds a check, also while the server runs.
func (c *Checks) Add(check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, check)
}

// Reasons returns the reason of every failed check, never nil.
func (c *Checks) Reasons() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	reasons := []string{}
	for _, check := range c.list {
		if reason := check(); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return reasons
}
