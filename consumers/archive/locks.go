package archive

import (
	"context"
	"sync"
)

// locks gives each folder to one attempt of this process at a time: two events
// of one prediction, and an attempt that outlives its lease beside the next one
// for the same event, would download the same outputs twice. The zero value is
// ready for use.
type locks struct {
	mu   sync.Mutex
	held map[string]chan struct{} // closed when the folder is given back
}

// lock waits for the folder and returns the function that gives it back, or the cause of ctx's
// end.
func (l *locks) lock(ctx context.Context, folder string) (unlock func(), err error) {
	for {
		busy, unlock := l.try(folder)
		if busy == nil {
			return unlock, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// try takes the folder, or returns the channel that is closed when the folder is given back.
func (l *locks) try(folder string) (busy <-chan struct{}, unlock func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if busy, ok := l.held[folder]; ok {
		return busy, nil
	}
	if l.held == nil {
		l.held = make(map[string]chan struct{})
	}
	free := make(chan struct{})
	l.held[folder] = free
	return nil, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.held, folder)
		close(free)
	}
}
