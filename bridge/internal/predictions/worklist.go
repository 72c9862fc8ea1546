package predictions

import (
	"container/heap"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// openRecord is what the ledger keeps of an open prediction beside its state, under
// [bridge.KeyOpen]: that it is open, and how often the provider was asked for it. It is
// all that a new leader reads.
type openRecord struct {
	Source    string    `json:"source"`
	ID        string    `json:"id"`
	Model     string    `json:"model,omitempty"`
	FirstSeen time.Time `json:"first_seen"`
	// ExpectedBy and Estimate (in seconds) are those of the state.
	ExpectedBy time.Time `json:"expected_by,omitzero"`
	Estimate   float64   `json:"estimate,omitempty"`
	// Claimed: nobody but programs of other teams has told of it, over NATS.
	Claimed bool `json:"claimed,omitempty"`
	// Sequence is that of the event that a dead letter is made of: the last that
	// announced it, else the first one.
	Sequence uint64 `json:"seq"`
	// Polls is how often the provider was asked, NotFound how often in a row it did not
	// know it. NotBefore is when it may be asked again.
	Polls     int       `json:"polls,omitempty"`
	NotFound  int       `json:"not_found,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	// Said is what the last answer was: a status, or, with Failed set, an error.
	Said   string `json:"said,omitempty"`
	Failed bool   `json:"failed,omitempty"`
	// Answered is when the provider said first that it has no end.
	Answered time.Time `json:"answered,omitzero"`
	// GivenUp is when it was given up, for the Cause. From then on the provider is not
	// asked any more: what is left is to tell it.
	GivenUp time.Time        `json:"given_up,omitzero"`
	Cause   bridge.DeadCause `json:"cause,omitempty"`
}

// item is an open prediction in the leader's memory.
type item struct {
	openRecord

	// revision is that of the record in the ledger.
	revision uint64
	// due is when the provider is asked next.
	due time.Time

	place int // in the heap that it is in
	ready bool
	taken bool // by who asks the provider
}

// worklist holds the open predictions of one source by when they are due. It is safe
// for concurrent use; its items are copies.
type worklist struct {
	mu      sync.Mutex
	byID    map[string]*item
	taken   map[string]*item
	waiting byDue  // not due yet
	ready   byTurn // due
	claimed byTurn // due, and claimed only
	claims  bool   // whose turn it is, when there are both

	// sooner is told when one is due before all the others that wait.
	sooner chan struct{}
}

func newWorklist() *worklist {
	return &worklist{byID: map[string]*item{}, taken: map[string]*item{}, sooner: make(chan struct{}, 1)}
}

// set adds an open prediction, or replaces what is known of it. One that is taken
// stays so.
func (w *worklist) set(it item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if have, ok := w.byID[it.ID]; ok {
		it.taken = have.taken
		w.unlist(have)
	}
	it.ready = false
	w.byID[it.ID] = &it
	if it.taken {
		w.taken[it.ID] = &it
	} else {
		w.wait(&it)
	}
}

// get returns what is known of an open prediction.
func (w *worklist) get(id string) (item, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it, ok := w.byID[id]; ok {
		return *it, true
	}
	return item{}, false
}

// remove forgets a prediction that is not open any more.
func (w *worklist) remove(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if it, ok := w.byID[id]; ok {
		w.unlist(it)
		delete(w.byID, id)
	}
}

// next reports whether one is due; when none is, it returns when the first one will be,
// zero for never.
func (w *worklist) next(now time.Time) (at time.Time, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ripen(now)
	if len(w.ready)+len(w.claimed) > 0 {
		return time.Time{}, true
	}
	if len(w.waiting) > 0 {
		at = w.waiting[0].due
	}
	return at, false
}

// take returns the one of those that are due whose turn it is, which is the caller's
// until it gives it back: the oldest of those that were asked for least often. Every
// second one is of those that are more than claimed, so that made-up ones never keep
// them from their turn. When none is due, it returns false and when the first one will
// be, zero for never.
func (w *worklist) take(now time.Time) (it item, next time.Time, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ripen(now)
	from := &w.ready
	if len(w.claimed) > 0 && (w.claims || len(w.ready) == 0) {
		from = &w.claimed
	}
	if from.Len() == 0 {
		if len(w.waiting) > 0 {
			next = w.waiting[0].due
		}
		return item{}, next, false
	}
	w.claims = from == &w.ready
	taken := heap.Pop(from).(*item)
	taken.taken = true
	w.taken[taken.ID] = taken
	return *taken, time.Time{}, true
}

// give puts one that was taken back, if it is still open, as it is known by now but for
// what settle changes.
func (w *worklist) give(id string, settle func(*item)) {
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

// counts returns how many are open, how many of them are due, and when the oldest of
// these was seen first.
func (w *worklist) counts(now time.Time) (open, overdue int, oldest time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ripen(now)
	for _, all := range [][]*item{w.ready, w.claimed, slices.Collect(maps.Values(w.taken))} {
		for _, it := range all {
			if oldest.IsZero() || it.FirstSeen.Before(oldest) {
				oldest = it.FirstSeen
			}
		}
	}
	return len(w.byID), len(w.ready) + len(w.claimed) + len(w.taken), oldest
}

// wait puts it to those that are not due yet. The caller holds the lock.
func (w *worklist) wait(it *item) {
	heap.Push(&w.waiting, it)
	if it.place == 0 {
		select {
		case w.sooner <- struct{}{}:
		default:
		}
	}
}

// ripen moves what is due by now to those that are ready. The caller holds the lock.
func (w *worklist) ripen(now time.Time) {
	for len(w.waiting) > 0 && !w.waiting[0].due.After(now) {
		it := heap.Pop(&w.waiting).(*item)
		it.ready = true
		heap.Push(w.heapOf(it), it)
	}
}

// unlist takes it out of the heap that it is in. The caller holds the lock.
func (w *worklist) unlist(it *item) {
	switch {
	case it.taken:
		delete(w.taken, it.ID)
	case it.ready:
		heap.Remove(w.heapOf(it), it.place)
	default:
		heap.Remove(&w.waiting, it.place)
	}
}

// heapOf is where one that is due waits for its turn.
func (w *worklist) heapOf(it *item) heap.Interface {
	if it.Claimed {
		return &w.claimed
	}
	return &w.ready
}

// byDue is a heap of items, the one that is due first on top.
type byDue []*item

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *byDue) Push(x any) { it := x.(*item); it.place = len(*h); *h = append(*h, it) }
func (h *byDue) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return it
}

// byTurn is a heap of items, on top the one that was seen first of those that were asked
// for least often. So old ones that never end cannot keep younger ones from their turn.
type byTurn []*item

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
