package ingress

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds the addresses whose rate is remembered, about 20 MB of
// them. Whoever has more of them than this is not held by a rate per address.
const maxAddresses = 64 << 10

// rates is a token bucket for each address. The one that was seen least lately
// is forgotten first.
type rates struct {
	limit rate.Limit
	burst int
	max   int

	mu      sync.Mutex
	buckets map[netip.Prefix]*list.Element
	recent  list.List // of *bucket, the least lately seen first
}

type bucket struct {
	of      netip.Prefix
	limiter *rate.Limiter
}

// newRates returns nil when perSecond is zero: then everything is allowed.
func newRates(perSecond float64, burst int) *rates {
	if perSecond == 0 {
		return nil
	}
	return &rates{limit: rate.Limit(perSecond), burst: burst, max: maxAddresses, buckets: make(map[netip.Prefix]*list.Element)}
}

func (r *rates) allow(a netip.Addr, now time.Time) bool {
	if r == nil {
		return true
	}
	of := holder(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	place, known := r.buckets[of]
	if !known {
		if r.recent.Len() >= r.max {
			delete(r.buckets, r.recent.Remove(r.recent.Front()).(*bucket).of)
		}
		place = r.recent.PushBack(&bucket{of, rate.NewLimiter(r.limit, r.burst)})
		r.buckets[of] = place
	}
	r.recent.MoveToBack(place)
	return place.Value.(*bucket).limiter.AllowN(now, 1)
}
