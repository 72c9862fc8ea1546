package stream

import "hash/maphash"

// recentSize is how many ids are remembered at least; twice as many at most.
const recentSize = 1 << 15

// recentIDs knows recently stored ids. A message with a known id is published alone, since a
// duplicate would have its whole batch refused; a wrong guess does no harm. The zero value is
// ready.
type recentIDs struct {
	seed      maphash.Seed
	now, past map[uint64]struct{}
}

func (r *recentIDs) add(id string) {
	if id == "" {
		return
	}
	if r.now == nil {
		r.seed = maphash.MakeSeed()
	}
	if r.now == nil || len(r.now) == recentSize {
		r.now, r.past = make(map[uint64]struct{}), r.now
	}
	r.now[maphash.String(r.seed, id)] = struct{}{}
}

func (r *recentIDs) has(id string) bool {
	if id == "" || r.now == nil {
		return false
	}
	hash := maphash.String(r.seed, id)
	if _, ok := r.now[hash]; ok {
		return true
	}
	_, ok := r.past[hash]
	return ok
}
