package predictions

import (
	"math/rand/v2"
	"time"
)

const (
	shortTombstone, longTombstone = time.Minute, 10 * time.Minute
	maxTombstones                 = 100_000
)

// tombstoneLife is how long the empty record of a prediction that is not open any more
// stays before the server removes it. It syncs every single removal, which holds up
// whatever is written meanwhile: so the removals of what was folded together are spread.
func tombstoneLife() time.Duration { return shortTombstone + rand.N(longTombstone-shortTombstone) }

// addTombstone remembers that the empty record of a prediction may be there although the
// store has no entry that says so. One that is forgotten ends the leadership when the
// prediction is announced again within minutes, and the next one knows it.
func (s *store) addTombstone(key string) {
	if len(s.tombstones) < maxTombstones {
		s.tombstones[key] = true
	}
}
