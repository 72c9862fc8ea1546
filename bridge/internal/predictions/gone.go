package predictions

import (
	"hash/maphash"
	"time"
)

// maxGone bounds the memory of gone to about 50 MB.
const maxGone = 1 << 20

// gone remembers, while old events are folded, predictions that ended so long ago that the
// prediction store has dropped them, and until when it had them: events up to then are
// dropped too. When gone is full it remembers the latest ones.
type gone struct {
	seed   maphash.Seed
	most   int
	at     map[uint64]time.Time
	before map[uint64]time.Time // the older, full half
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
