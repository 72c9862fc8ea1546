package erase

import "time"

// AskAgain has the next call of Ready ask for a bucket that was not there.
func (r *Registry) AskAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = time.Time{}
}
