// Package await lets any number of callers wait for predictions with one subscription each
// to the events and the progress.
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
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	// MaxWaiters bounds the waiters.
	MaxWaiters = 20_000
	// idleTimeout is how long the hub listens when nobody waits.
	idleTimeout = time.Minute
	// maxMissed and maxMissedBytes bound the unread events of a waiter, and their bodies if
	// there are several. Beyond that the waiter reads the view instead.
	maxMissed      = 32
	maxMissedBytes = 64 << 10
	// joinTimeout bounds a waiter's wait for the subscriptions, and one answer of the view.
	joinTimeout = 5 * time.Second
	// maxReads bounds the concurrent reads of the view, also when thousands wait for the
	// same prediction or the connection is back.
	maxReads = 64
	// rereadPause is between two tries to read the view.
	rereadPause = time.Second
)

// errClosed is what waiters get once the hub is closed.
var errClosed = errors.New("waiting for predictions has ended, the process stops")

// States is the view, as far as waiters read it. It is safe for concurrent use.
type States interface {
	// Prediction returns the state of a prediction. The error wraps [bridge.ErrNotFound]
	// when the view does not know it.
	Prediction(ctx context.Context, source, id string) (*bridge.PredictionState, error)
	// UpToDate reports whether the view has every event of a moment ago.
	UpToDate() bool
}

// Hub wakes waiters. It listens from its first waiter on, until nobody has waited for a
// minute. It is safe for concurrent use.
type Hub struct {
	js          jetstream.JetStream
	states      States
	names       bridge.Names
	log         *zap.Logger
	idleTimeout time.Duration
	reads       chan struct{} // one for each read in flight

	done sync.WaitGroup

	mu      sync.Mutex
	waiters map[string][]*waiter // see keyOf
	count   int
	feed    *feed // nil: nobody listens
	closed  bool
}

// New returns a hub that listens with js and reads states. Call [Hub.Close] before the connection
// is closed. A nil log logs nothing.
func New(js jetstream.JetStream, states States, names bridge.Names, log *zap.Logger) *Hub {
	if log == nil {
		log = zap.NewNop()
	}
	return &Hub{
		js: js, states: states, names: names, log: log.Named("await"), idleTimeout: idleTimeout,
		reads: make(chan struct{}, maxReads), waiters: map[string][]*waiter{},
	}
}

// Close ends all waits and returns when the hub has stopped listening.
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

// Waiting is the number of waiters.
func (h *Hub) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.count
}

// waiter is one caller.
type waiter struct {
	key   string
	place int           // index in the list of its key
	wake  chan struct{} // buffered for one

	note note // guarded by the hub's lock
}

// note is what a waiter has not looked at yet.
type note struct {
	events []storedEvent
	bytes  int // of their bodies
	// reread: the waiter must read the view, until that has the event of the sequence.
	reread   bool
	sequence uint64
	progress *bridge.Progress
	closed   bool
}

func (w *waiter) ring() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// join adds a waiter. It returns once every message stored from now on reaches the waiter.
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
		return nil, fmt.Errorf("waiting for prediction %q of %s: the events cannot be listened to: %w", id, source, bridge.ErrUnavailable)
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

// tell changes the note of each waiter for the key.
func (h *Hub) tell(key string, what func(*note)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.waiters[key] {
		what(&w.note)
		w.ring()
	}
}

// Reread has those who wait for the prediction read the view, which has changed.
func (h *Hub) Reread(source, id string) {
	h.tell(keyOf(source, id), func(n *note) { n.reread = true })
}

// tellAll has every waiter read the view: messages may have been missed.
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

// take returns the waiter's note and clears it.
func (h *Hub) take(w *waiter) note {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := w.note
	w.note = note{}
	n.closed = h.closed
	return n
}

// storedEvent is an event in its stream. Waiters share it.
type storedEvent struct {
	event *bridge.Event
	at    fold.At
}

func (n *note) add(e storedEvent) {
	n.bytes += len(e.event.Body)
	if len(n.events) == maxMissed || len(n.events) > 0 && n.bytes > maxMissedBytes {
		n.events, n.bytes, n.reread, n.sequence = nil, 0, true, e.at.Sequence
		return
	}
	n.events = append(n.events, e)
}

// keyOf is the end of subjects of progress.
func keyOf(source, id string) string { return source + "." + bridge.EncodeToken(id) }
