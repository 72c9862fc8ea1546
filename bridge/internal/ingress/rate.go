package ingress

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"

	"github.com/hookspan/hookspan/internal/clientaddr"
)

// maxAddresses bounds the addresses whose rate is remembered, about 20 MB. A client with
// more addresses than that escapes a rate per address.
const maxAddresses = 64 << 10

// rates has a token bucket for each address, and forgets the least recently seen one first.
type rates struct {
	limit rate.Limit
	burst int

	mu      sync.Mutex
	buckets *simplelru.LRU[netip.Prefix, *rate.Limiter]
}

// newRates returns nil when perSecond is zero: then everything is allowed.
func newRates(perSecond float64, burst, addresses int) *rates {
	if perSecond == 0 {
		return nil
	}
	buckets, err := simplelru.NewLRU[netip.Prefix, *rate.Limiter](addresses, nil)
	if err != nil {
		panic(err) // the size is not positive
	}
	return &rates{limit: rate.Limit(perSecond), burst: burst, buckets: buckets}
}

func (r *rates) allow(a netip.Addr, now time.Time) bool {
	if r == nil {
		return true
	}
	of := clientaddr.Network(a)
	r.mu.Lock()
	defer r.mu.Unlock()
	limiter, known := r.buckets.Get(of)
	if !known {
		limiter = rate.NewLimiter(r.limit, r.burst)
		r.buckets.Add(of, limiter)
	}
	return limiter.AllowN(now, 1)
}
