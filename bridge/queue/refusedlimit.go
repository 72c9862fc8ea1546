package queue

import (
	"container/list"
	"net/netip"
	"time"

	"golang.org/x/time/rate"
)

// How much one address, and all of them together, may add to the ring. A sender
// with a mistyped secret stays far below; a flood is cut off before it costs
// anything that others need.
const (
	addressEntries, addressEntriesBurst = 100, 2000
	addressBytes, addressBytesBurst     = 256 << 10, 32 << 20
	allEntries, allEntriesBurst         = 200, 5000
	allBytes, allBytesBurst             = 1 << 20, 64 << 20
	// maxRefusedAddresses bounds the addresses that are remembered; the one that
	// was seen least lately is forgotten first.
	maxRefusedAddresses = 4096
)

// refusedLimits are token buckets in entries and bytes. They are not safe for
// concurrent use.
type refusedLimits struct {
	all       buckets
	addresses map[netip.Prefix]*list.Element
	recent    list.List // of *addressBuckets, the least lately seen first
}

type buckets struct{ entries, bytes *rate.Limiter }

func (b buckets) allow(size int, now time.Time) bool {
	return b.entries.AllowN(now, 1) && b.bytes.AllowN(now, size)
}

type addressBuckets struct {
	of netip.Prefix
	buckets
}

func newRefusedLimits() *refusedLimits {
	return &refusedLimits{
		all:       buckets{rate.NewLimiter(allEntries, allEntriesBurst), rate.NewLimiter(allBytes, allBytesBurst)},
		addresses: make(map[netip.Prefix]*list.Element),
	}
}

// admit returns the reason to drop an entry of that many bytes, or "".
func (l *refusedLimits) admit(address string, size int, now time.Time) string {
	of := holder(address)
	place, known := l.addresses[of]
	if !known {
		if l.recent.Len() >= maxRefusedAddresses {
			delete(l.addresses, l.recent.Remove(l.recent.Front()).(*addressBuckets).of)
		}
		place = l.recent.PushBack(&addressBuckets{of, buckets{
			rate.NewLimiter(addressEntries, addressEntriesBurst), rate.NewLimiter(addressBytes, addressBytesBurst),
		}})
		l.addresses[of] = place
	}
	l.recent.MoveToBack(place)
	switch {
	case !place.Value.(*addressBuckets).allow(size, now):
		return droppedAddress
	case !l.all.allow(size, now):
		return droppedAll
	}
	return ""
}

// holder is the network that one customer of a provider usually has for itself:
// the address, or the /64 of an IPv6 address. What is no address is one holder.
func holder(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	a = a.Unmap().WithZone("")
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked()
}
