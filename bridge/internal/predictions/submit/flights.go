package submit

import (
	"sync"

	"github.com/hookspan/hookspan/bridge"
)

// flights are this process's submissions in progress that have an idempotency key. It is
// safe for concurrent use.
type flights struct {
	mu    sync.Mutex
	byKey map[string]*flight
}

type flight struct {
	digest string
	landed chan struct{} // closed when the fields below are set

	once sync.Once
	done *bridge.Submitted
	err  error
}

// join returns the flight under the key. When own is set the caller sends the submission
// and must land the flight.
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

// land sets the outcome. The first call counts.
func (f *flight) land(done *bridge.Submitted, err error) {
	f.once.Do(func() {
		f.done, f.err = done, err
		close(f.landed)
	})
}
