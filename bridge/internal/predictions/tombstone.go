package predictions

import (
	"math/rand/v2"
	"time"
)

const (
	shortTombstone, longTombstone = time.Minute, 10 * time.Minute
	maxTombstones                 = 100_000
)

// tombstoneLife is how long the empty record of a closed prediction stays before the server
// removes it. The server syncs every removal, which delays other writes; random lives
// spread the removals of one block.
func tombstoneLife() time.Duration { return shortTombstone + rand.N(longTombstone-shortTombstone) }

// addTombstone remembers a key whose empty record may exist although no entry says so. A
// forgotten tombstone ends the leadership when the prediction is announced again within
// minutes; the next leadership finds it.
func (s *store) addTombstone(key string) {
	if len(s.tombstones) < maxTombstones {
		s.tombstones[key] = true
	}
}
