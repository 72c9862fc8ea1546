package predictions

import (
	"math/rand/v2"
	"time"
)

const (
	shortStone, longStone = time.Minute, 10 * time.Minute
	maxStones             = 100_000
)

// stoneLife is how long the empty record of a prediction that is not open any more
// stays before the server removes it. It syncs every single removal, which holds up
// whatever is written meanwhile: so the removals of what was folded together are spread.
func stoneLife() time.Duration { return shortStone + rand.N(longStone-shortStone) }

// stone remembers that the empty record of a prediction may be there although the
// ledger has no entry that says so. One that is forgotten ends the term when the
// prediction is announced again within minutes, and the next term knows it.
func (t *term) stone(key string) {
	if len(t.stones) < maxStones {
		t.stones[key] = true
	}
}
