package stream

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// recentSize is how many ids are remembered at least, if they are not too old; twice as many at
// most. An id costs about 40 bytes.
const recentSize = 1 << 15

// recentIDs knows the ids of recent messages by stream. An id is forgotten after recentSize
// further ones, or when it is older than keep. It is safe for concurrent use, and its zero
// value is ready.
type recentIDs struct {
	keep time.Duration // 0: as long as there is room

	mu        sync.Mutex
	begun     time.Time // of now
	now, past map[idHash]struct{}
}

// idHash stands for a stream and an id. Two hashes of 64 bits with independent seeds make it
// safe to take equal hashes for equal ids.
type idHash [2]uint64

var idSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func hashID(stream, id string) (out idHash) {
	for i, seed := range idSeeds {
		var h maphash.Hash
		h.SetSeed(seed)
		_, _ = h.WriteString(stream)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(id)
		out[i] = h.Sum64()
	}
	return out
}

// add remembers the ids of messages in a stream.
func (r *recentIDs) add(stream string, msgs []*nats.Msg) {
	for _, m := range msgs {
		if id := messageID(m); id != "" {
			r.addID(stream, id)
		}
	}
}

func (r *recentIDs) addID(stream, id string) {
	hash := hashID(stream, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	if len(r.now) >= recentSize {
		r.now, r.past, r.begun = make(map[idHash]struct{}), r.now, time.Now()
	}
	r.now[hash] = struct{}{}
}

// turn drops ids that are too old. The caller holds the lock.
func (r *recentIDs) turn() {
	switch age := time.Since(r.begun); {
	case r.now == nil, r.keep > 0 && age > r.keep:
		r.now, r.past, r.begun = make(map[idHash]struct{}), nil, time.Now()
	case r.keep > 0 && age > r.keep/2:
		r.now, r.past, r.begun = make(map[idHash]struct{}), r.now, time.Now()
	}
}

// knows reports whether the id of that hash is remembered.
func (r *recentIDs) knows(hash idHash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	return r.hasHash(hash)
}

func (r *recentIDs) hasHash(hash idHash) bool {
	if _, ok := r.now[hash]; ok {
		return true
	}
	_, ok := r.past[hash]
	return ok
}

// forget drops all ids.
func (r *recentIDs) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now, r.past = nil, nil
}

// split returns the indexes of messages that can be in one atomic batch, and of those that
// cannot: because the stream has them already, or because one before has the same id.
func (r *recentIDs) split(stream string, msgs []*nats.Msg) (fresh, known []int) {
	seen := make(map[idHash]struct{}, len(msgs))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn()
	for i, m := range msgs {
		id := messageID(m)
		if id == "" {
			fresh = append(fresh, i)
			continue
		}
		hash := hashID(stream, id)
		if _, twice := seen[hash]; twice || r.hasHash(hash) {
			known = append(known, i)
			continue
		}
		seen[hash] = struct{}{}
		fresh = append(fresh, i)
	}
	return fresh, known
}
