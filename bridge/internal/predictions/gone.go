package predictions

import (
	"hash/maphash"
	"time"
)

// maxGone bounds what gone remembers; it is about 50 MB.
const maxGone = 1 << 20

// gone knows, while old events are folded, of predictions that ended so long ago that
// the prediction store has no entry of them any more, until when it had: what was told of them
// up to then is gone too. Of too many it knows those that it heard of last.
type gone struct {
	seed   maphash.Seed
	most   int
	at     map[uint64]time.Time
	before map[uint64]time.Time // it is full
}

func newGone() *gone {
	return &gone{seed: maphash.MakeSeed(), most: maxGone / 2, at: map[uint64]time.Time{}}
}

func (g *gone) add(key string, until time.Time) {
	if len(g.at) >= g.most {
		g.at, g.before = map[uint64]time.Time{}, g.at
	}
	g.at[maphash.String(g.seed, key)] = until
}

func (g *gone) has(key string, at time.Time) bool {
	sum := maphash.String(g.seed, key)
	until, ok := g.at[sum]
	if !ok {
		until, ok = g.before[sum]
	}
	return ok && !at.After(until)
}
