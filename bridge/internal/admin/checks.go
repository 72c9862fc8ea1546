package admin

import "sync"

// Check returns why no webhook can be stored now, in one sentence for an
// operator, or "" when it does not know of a reason. It is asked for each request
// of /readyz, by several at once: it must not wait for anything.
type Check func() (reason string)

// Checks are what decides about /readyz: the process is ready while each of them
// returns "". The zero value is usable; it is safe for concurrent use.
type Checks struct {
	mu   sync.RWMutex
	list []Check
}

// Add adds one, also while a server asks.
func (c *Checks) Add(check Check) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, check)
}

// reasons returns every reason that there is, never nil.
func (c *Checks) reasons() []string {
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
