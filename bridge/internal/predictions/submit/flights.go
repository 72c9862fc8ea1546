package submit

import (
	"sync"

	"github.com/hookspan/hookspan/bridge"
)

// flights are the submissions with an idempotency key that this process is about. It is
// safe for concurrent use.
type flights struct {
	mu    sync.Mutex
	byKey map[string]*flight
}

// flight is one of them.
type flight struct {
	digest string
	landed chan struct{} // closed when what follows is known

	once sync.Once
	done *bridge.Submitted
	err  error
}

// join returns the flight under the key, and whether it is the caller's own, who then
// lets it land and leaves.
func (f *flights) join(key, digest string) (_ *flight, own bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if have, ok := f.byKey[key]; ok {
		return have, false
	}
	f.byKey[key] = &flight{digest: digest, landed: make(chan struct{})}
	return f.byKey[key], true
}

func (f *flights) leave(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.byKey, key)
}

// land says what became of it. The first time counts.
func (f *flight) land(done *bridge.Submitted, err error) {
	f.once.Do(func() {
		f.done, f.err = done, err
		close(f.landed)
	})
}
