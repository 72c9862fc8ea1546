package quota

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Rates are two token buckets: entries and bytes per second, and their bursts after a rest.
type Rates struct {
	Entries      float64
	EntriesBurst int
	Bytes        float64
	BytesBurst   int
}

// Buckets limit each of many holders, and all of them together. They are safe for concurrent
// use.
type Buckets[K comparable] struct {
	each   Rates
	shared pair

	mu      sync.Mutex // guards the holders
	holders *simplelru.LRU[K, pair]
}

type pair struct{ entries, bytes *rate.Limiter }

func (r Rates) pair() pair {
	return pair{rate.NewLimiter(rate.Limit(r.Entries), r.EntriesBurst), rate.NewLimiter(rate.Limit(r.Bytes), r.BytesBurst)}
}

func (p pair) allow(size int, now time.Time) bool {
	return p.entries.AllowN(now, 1) && p.bytes.AllowN(now, size)
}

// NewBuckets returns full buckets. At most most holders are remembered: the least recently seen
// is forgotten first, and starts with full buckets again.
func NewBuckets[K comparable](all, each Rates, most int) *Buckets[K] {
	holders, err := simplelru.NewLRU[K, pair](most, nil)
	if err != nil {
		panic(err) // most is not positive
	}
	return &Buckets[K]{each: each, shared: all.pair(), holders: holders}
}

// Verdict is the result of [Buckets.Take].
type Verdict int

// Verdicts.
const (
	Allowed    Verdict = iota
	OverOwn            // the holder has used up its own part
	OverShared         // all together have used up theirs
)

// Take counts one entry of that size of the holder.
func (b *Buckets[K]) Take(of K, size int, now time.Time) Verdict {
	switch {
	case !b.own(of).allow(size, now):
		return OverOwn
	case !b.shared.allow(size, now):
		return OverShared
	}
	return Allowed
}

// Begin counts one entry of the holder whose size is known later, see [Buckets.Spend].
func (b *Buckets[K]) Begin(of K, now time.Time) Verdict {
	own := b.own(of)
	switch {
	case own.bytes.TokensAt(now) < 0 || !own.entries.AllowN(now, 1):
		return OverOwn
	case b.shared.bytes.TokensAt(now) < 0 || !b.shared.entries.AllowN(now, 1):
		return OverShared
	}
	return Allowed
}

// Spend counts the bytes of an entry that has begun, even beyond what the holder has left: no
// other entry begins until it has recovered.
func (b *Buckets[K]) Spend(of K, size int, now time.Time) {
	own := b.own(of)
	own.bytes.ReserveN(now, min(size, own.bytes.Burst()))
	b.shared.bytes.ReserveN(now, min(size, b.shared.bytes.Burst()))
}

func (b *Buckets[K]) own(of K) pair {
	b.mu.Lock()
	defer b.mu.Unlock()
	own, known := b.holders.Get(of)
	if !known {
		own = b.each.pair()
		b.holders.Add(of, own)
	}
	return own
}
