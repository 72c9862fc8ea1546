package quarantine

import (
	"net/netip"
	"time"

	"github.com/hookspan/hookspan/bridge/internal/stream/quota"
)

// How much one address, and all of them together, may add to the ring: well above a sender with
// a mistyped secret, and well below a flood that would slow down others.
const (
	addressEntries, addressEntriesBurst = 100, 2000
	addressBytes, addressBytesBurst     = 256 << 10, 32 << 20
	allEntries, allEntriesBurst         = 200, 5000
	allBytes, allBytesBurst             = 1 << 20, 64 << 20
	// maxRefusedAddresses bounds the remembered addresses; the least recently seen is forgotten
	// first.
	maxRefusedAddresses = 4096
)

// refusedLimits are token buckets of entries and bytes. They are safe for concurrent use.
type refusedLimits struct{ *quota.Buckets[netip.Prefix] }

func newRefusedLimits() refusedLimits {
	return refusedLimits{quota.NewBuckets[netip.Prefix](
		quota.Rates{Entries: allEntries, EntriesBurst: allEntriesBurst, Bytes: allBytes, BytesBurst: allBytesBurst},
		quota.Rates{Entries: addressEntries, EntriesBurst: addressEntriesBurst, Bytes: addressBytes, BytesBurst: addressBytesBurst},
		maxRefusedAddresses)}
}

// admit returns the reason to drop an entry of size bytes, or "".
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

// holder returns the network that one customer of a provider usually has alone: the IPv4
// address or the /64 of an IPv6 address. All invalid addresses share one holder.
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
