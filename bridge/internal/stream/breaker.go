package stream

import (
	"sync"
	"time"
)

const (
	// breakAfter is how many publishes in a row must fail before the breaker opens.
	breakAfter = 3
	// probeEvery is the time between two probes while the breaker is open, and between two
	// changes of a server that does not serve.
	probeEvery = 2 * time.Second
)

// breaker remembers whether NATS takes messages, so that only few messages wait in vain for an
// answer. Its zero value is closed: every message is tried.
type breaker struct {
	mu       sync.Mutex
	failures int
	probed   time.Time
	moved    time.Time
}

// allow reports whether a message may be tried: while the breaker is open, one every
// probeEvery, and none while another goroutine probes.
func (b *breaker) allow(now time.Time, probing bool) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures < breakAfter {
		return true
	}
	if probing || now.Sub(b.probed) < probeEvery {
		return false
	}
	b.probed = now
	return true
}

func (b *breaker) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures = 0
}

// failed counts a failure and reports whether it is time to try another server.
func (b *breaker) failed(now time.Time) (move bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	if b.failures < breakAfter || now.Sub(b.moved) < probeEvery {
		return false
	}
	b.moved = now
	return true
}

func (b *breaker) open() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures >= breakAfter
}
