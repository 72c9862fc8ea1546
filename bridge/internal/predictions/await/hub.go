// Package await lets any number of callers wait for predictions at the price of one
// subscription to the events, one to the prediction store, and one to what is told of progress.
package await

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/predictions"
	"github.com/hookspan/hookspan/bridge/internal/predictions/fold"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// MaxWaiters is how many can wait at a time.
	MaxWaiters = 20_000
	// linger is for how long is listened when nobody waits any more.
	idleTimeout = time.Minute
	// maxMissed and maxMissedBytes bound by how many events a waiter can be behind, and
	// the bodies of those if there are several. Beyond that it reads the prediction store instead.
	maxMissed      = 32
	maxMissedBytes = 64 << 10
	// joinTimeout bounds how long a waiter waits for the subscriptions, and for one
	// answer of the prediction store.
	joinTimeout = 5 * time.Second
	// maxReads bounds how many read the prediction store at a time, also when thousands wait for the
	// same, or the connection is back.
	maxReads = 64
	// rereadPause is between two attempts to read the prediction store.
	rereadPause = time.Second
)

// errClosed is what waiters are told once the hub is closed.
var errClosed = errors.New("waiting for predictions has ended, the process stops")

// Hub knows who waits for what. It listens from its first waiter on, until nobody has
// waited for a minute. It is safe for concurrent use.
type Hub struct {
	js          jetstream.JetStream
	reader      *predictions.Reader
	names       bridge.Names
	log         *zap.Logger
	idleTimeout time.Duration
	reads       chan struct{} // one for each read of the prediction store in flight

	done sync.WaitGroup

	mu      sync.Mutex
	waiters map[string][]*waiter // by the end of the key that the prediction store has
	count   int
	feed    *feed // nil: nobody listens
	closed  bool
}

// New returns a hub that reads with js and reader. [Hub.Close] must be called before
// the connection is closed. A nil log logs nothing.
func New(js jetstream.JetStream, reader *predictions.Reader, names bridge.Names, log *zap.Logger) *Hub {
	if log == nil {
		log = zap.NewNop()
	}
	return &Hub{
		js: js, reader: reader, names: names, log: log.Named("await"), idleTimeout: idleTimeout,
		reads: make(chan struct{}, maxReads), waiters: map[string][]*waiter{},
	}
}

// Close ends all that wait, and returns when nothing is listened to any more.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	if h.feed != nil {
		h.feed.cancel()
	}
	for _, list := range h.waiters {
		for _, w := range list {
			w.ring()
		}
	}
	h.mu.Unlock()
	h.done.Wait()
}

// Waiting is how many wait now.
func (h *Hub) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// waiter is one caller. What has a lock is the hub's.
type waiter struct {
	key   string
	place int           // in the list of its key
	wake  chan struct{} // has room for one

	note note // guarded by the hub's lock
}

// note is what a waiter has to look at.
type note struct {
	events []storedEvent // since it looked last
	bytes  int           // of their bodies
	// reread: the prediction store is to be read.
	reread   bool
	progress *bridge.Progress
	closed   bool
}

func (w *waiter) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// join adds a waiter, and returns when whatever is stored from now on reaches it.
func (h *Hub) join(ctx context.Context, source, id string) (*waiter, error) {
	w := &waiter{key: keyOf(source, id), wake: make(chan struct{}, 1)}
	h.mu.Lock()
	switch {
	case h.closed:
		h.mu.Unlock()
		return nil, errClosed
	case h.count >= MaxWaiters:
		h.mu.Unlock()
		return nil, fmt.Errorf("waiting for prediction %q of %s: %w: %d wait", id, source, adminapi.ErrBusy, MaxWaiters)
	}
	h.count++
	w.place = len(h.waiters[w.key])
	h.waiters[w.key] = append(h.waiters[w.key], w)
	if h.feed == nil {
		h.feed = h.listen() //nolint:contextcheck // it outlives the first one who waits
	}
	feed := h.feed
	feed.idle.Stop()
	h.mu.Unlock()

	late := time.NewTimer(joinTimeout)
	defer late.Stop()
	select {
	case <-feed.ready:
		return w, nil
	case <-ctx.Done():
		h.leave(w)
		return nil, ctx.Err()
	case <-feed.ended:
		h.leave(w)
		return nil, errClosed
	case <-late.C:
		h.leave(w)
		return nil, fmt.Errorf("waiting for prediction %q of %s: the events and the prediction store cannot be listened to: %w", id, source, bridge.ErrUnavailable)
	}
}

func (h *Hub) leave(w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.waiters[w.key]
	last := list[len(list)-1]
	list[w.place], last.place = last, w.place
	list[len(list)-1] = nil
	if list = list[:len(list)-1]; len(list) == 0 {
		delete(h.waiters, w.key)
	} else {
		h.waiters[w.key] = list
	}
	if h.count--; h.count == 0 && h.feed != nil {
		h.feed.idle.Reset(h.idleTimeout)
	}
}

// tell notes something for whoever waits for what lies under the key.
func (h *Hub) tell(key string, what func(*note)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.waiters[key] {
		what(&w.note)
		w.ring()
	}
}

// tellAll has everybody read the prediction store: something may have been missed.
func (h *Hub) tellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, list := range h.waiters {
		for _, w := range list {
			w.note.reread = true
			w.ring()
		}
	}
}

// take returns what the waiter has to look at since it took last.
func (h *Hub) take(w *waiter) note {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := w.note
	w.note = note{}
	n.closed = h.closed
	return n
}

// storedEvent is an event in its stream. Several waiters share it.
type storedEvent struct {
	event *bridge.Event
	at    fold.At
}

// add notes an event.
func (n *note) add(e storedEvent) {
	n.bytes += len(e.event.Body)
	if len(n.events) == maxMissed || len(n.events) > 0 && n.bytes > maxMissedBytes {
		n.events, n.bytes, n.reread = nil, 0, true
		return
	}
	n.events = append(n.events, e)
}

// keyOf is what keys of the prediction store and subjects of progress end with.
func keyOf(source, id string) string { return source + "." + bridge.EncodeToken(id) }
