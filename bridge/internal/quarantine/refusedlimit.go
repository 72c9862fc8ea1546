package quarantine

import (
	"net/netip"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/stream/quota"
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
type refusedLimits struct{ *quota.Buckets[netip.Prefix] }

func newRefusedLimits() refusedLimits {
	return refusedLimits{quota.NewBuckets[netip.Prefix](
		quota.Rates{Entries: allEntries, EntriesBurst: allEntriesBurst, Bytes: allBytes, BytesBurst: allBytesBurst},
		quota.Rates{Entries: addressEntries, EntriesBurst: addressEntriesBurst, Bytes: addressBytes, BytesBurst: addressBytesBurst},
		maxRefusedAddresses)}
}

// admit returns the reason to drop an entry of that many bytes, or "".
func (l refusedLimits) admit(address string, size int, now time.Time) string {
	switch l.Take(holder(address), size, now) {
	case quota.OverOwn:
		return droppedAddress
	case quota.OverShared:
		return droppedAll
	default:
		return ""
	}
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
