package poller

import (
	"container/heap"
	"maps"
	"slices"
	"sync"
	"time"
)

// Item is an open prediction in the leader's memory.
type Item struct {
	Record

	// Revision is the record's in the prediction store.
	Revision uint64
	// Due is when the provider is polled next.
	Due time.Time

	place int // index in its heap
	ready bool
	taken bool // by a poll
}

// Queue holds the open predictions of one source by due time. It is safe for concurrent
// use; its items are copies.
type Queue struct {
	mu      sync.Mutex
	byID    map[string]*Item
	taken   map[string]*Item
	waiting byDue  // not due yet
	ready   byTurn // due
	claimed byTurn // due, and known only from claims
	claims  bool   // whose turn is next, when both have items

	// sooner is told when an item is due before all others that wait.
	sooner chan struct{}
}

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	return &Queue{byID: map[string]*Item{}, taken: map[string]*Item{}, sooner: make(chan struct{}, 1)}
}

// Set adds an open prediction, or replaces it. A taken one stays taken.
func (w *Queue) Set(it Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if have, ok := w.byID[it.ID]; ok {
		it.taken = have.taken
		w.unqueue(have)
	}
	it.ready = false
	w.byID[it.ID] = &it
	if it.taken {
		w.taken[it.ID] = &it
	} else {
		w.wait(&it)
	}
}

// Get returns an open prediction.
func (w *Queue) Get(id string) (Item, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it, ok := w.byID[id]; ok {
		return *it, true
	}
	return Item{}, false
}

// Remove removes a prediction that is not open any more.
func (w *Queue) Remove(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it, ok := w.byID[id]; ok {
		w.unqueue(it)
		delete(w.byID, id)
	}
}

// next reports whether an item is due; otherwise it returns when the first one will be,
// zero for never.
func (w *Queue) next(now time.Time) (at time.Time, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ripen(now)
	if len(w.ready)+len(w.claimed) > 0 {
		return time.Time{}, true
	}
	if len(w.waiting) > 0 {
		at = w.waiting[0].Due
	}
	return at, false
}

// take takes the next due item: the oldest of those polled least often. Every second item
// is one that is more than claimed, so that made-up predictions never starve the others.
// The caller must give it back. When none is due, take returns false and when the first one
// will be, zero for never.
func (w *Queue) take(now time.Time) (it Item, next time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ripen(now)
	from := &w.ready
	if len(w.claimed) > 0 && (w.claims || len(w.ready) == 0) {
		from = &w.claimed
	}
	if from.Len() == 0 {
		if len(w.waiting) > 0 {
			next = w.waiting[0].Due
		}
		return Item{}, next, false
	}
	w.claims = from == &w.ready
	taken := heap.Pop(from).(*Item)
	taken.taken = true
	w.taken[taken.ID] = taken
	return *taken, time.Time{}, true
}

// give puts a taken item back if it is still open: the current item, changed by settle.
func (w *Queue) give(id string, settle func(*Item)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	it, ok := w.byID[id]
	if !ok || !it.taken {
		return
	}
	it.taken, it.ready = false, false
	delete(w.taken, id)
	settle(it)
	w.wait(it)
}

// Counts returns the number of open and of due items, and when the oldest due one was first
// seen.
func (w *Queue) Counts(now time.Time) (open, overdue int, oldest time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ripen(now)
	for _, all := range [][]*Item{w.ready, w.claimed, slices.Collect(maps.Values(w.taken))} {
		for _, it := range all {
			if oldest.IsZero() || it.FirstSeen.Before(oldest) {
				oldest = it.FirstSeen
			}
		}
	}
	return len(w.byID), len(w.ready) + len(w.claimed) + len(w.taken), oldest
}

// wait adds it to the items that are not due yet. The caller holds the lock.
func (w *Queue) wait(it *Item) {
	heap.Push(&w.waiting, it)
	if it.place == 0 {
		select {
		case w.sooner <- struct{}{}:
		default:
		}
	}
}

// ripen moves items that have become due. The caller holds the lock.
func (w *Queue) ripen(now time.Time) {
	for len(w.waiting) > 0 && !w.waiting[0].Due.After(now) {
		it := heap.Pop(&w.waiting).(*Item)
		it.ready = true
		heap.Push(w.heapOf(it), it)
	}
}

// unqueue removes it from its heap. The caller holds the lock.
func (w *Queue) unqueue(it *Item) {
	switch {
	case it.taken:
		delete(w.taken, it.ID)
	case it.ready:
		heap.Remove(w.heapOf(it), it.place)
	default:
		heap.Remove(&w.waiting, it.place)
	}
}

// heapOf returns the heap of a due item.
func (w *Queue) heapOf(it *Item) heap.Interface {
	if it.Claimed {
		return &w.claimed
	}
	return &w.ready
}

// byDue is a heap of items by due time.
type byDue []*Item

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].Due.Before(h[j].Due) }
func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *byDue) Push(x any) { it := x.(*Item); it.place = len(*h); *h = append(*h, it) }
func (h *byDue) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

// byTurn is a heap of items: the least often polled first, then the oldest. So old
// predictions that never end cannot starve younger ones.
type byTurn []*Item

func (h byTurn) Len() int { return len(h) }
func (h byTurn) Less(i, j int) bool {
	if h[i].Polls != h[j].Polls {
		return h[i].Polls < h[j].Polls
	}
	return h[i].FirstSeen.Before(h[j].FirstSeen)
}
func (h byTurn) Swap(i, j int) { byDue(h).Swap(i, j) }
func (h *byTurn) Push(x any)   { (*byDue)(h).Push(x) }
func (h *byTurn) Pop() any     { return (*byDue)(h).Pop() }
