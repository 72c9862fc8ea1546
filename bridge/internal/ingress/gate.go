package ingress

import "sync"

// gate counts the deliveries inside and takes no more once it is shut. Its zero
// value is open.
type gate struct {
	mu     sync.Mutex
	inside int
	empty  chan struct{} // not nil: it is shut; closed: nobody is inside
}

// enter reports whether the gate is open; then leave must be called.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.empty != nil {
		close(g.empty)
	}
}

// shut is called once. The channel is closed when the last one has left.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.empty = make(chan struct{})
	if g.inside == 0 {
		close(g.empty)
	}
	return g.empty
}
