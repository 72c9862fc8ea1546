package ingress

import "sync"

// drain counts deliveries inside and admits no more once it is shut. Its zero value is
// open.
type drain struct {
	mu     sync.Mutex
	inside int
	empty  chan struct{} // nil: open; closed: shut and nobody inside
}

// enter reports whether drain is open; if it is, the caller must call leave.
func (d *drain) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.empty != nil {
		return false
	}
	d.inside++
	return true
}

func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside--; d.inside == 0 && d.empty != nil {
		close(d.empty)
	}
}

// shut is called once. The channel is closed when the last delivery has left.
func (d *drain) shut() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.empty = make(chan struct{})
	if d.inside == 0 {
		close(d.empty)
	}
	return d.empty
}
