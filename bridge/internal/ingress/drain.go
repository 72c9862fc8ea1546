package ingress

import "sync"

// drain counts the deliveries inside and takes no more once it is shut. Its zero
// value is open.
type drain struct {
	mu     sync.Mutex
	inside int
	empty  chan struct{} // not nil: it is shut; closed: nobody is inside
}

// enter reports whether it is open; then leave must be called.
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

// shut is called once. The channel is closed when the last one has left.
func (d *drain) shut() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.empty = make(chan struct{})
	if d.inside == 0 {
		close(d.empty)
	}
	return d.empty
}
