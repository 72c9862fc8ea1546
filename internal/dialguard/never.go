package dialguard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ErrNever is wrapped, beside [ErrBlocked], for an address that no setting permits.
var ErrNever = errors.New("is never asked, whatever is allowed")

// never are addresses that represent the machine itself, for example with its cloud
// credentials, and unassigned ones.
var never = prefixes(
	"169.254.0.0/16", // link-local (RFC 3927); metadata of most clouds
	"fe80::/10",      // link-local (RFC 4291)
	"fd00:ec2::/32",  // metadata of AWS: ::254, ::123, ::253
	"fd20:ce::254/128",
	"100.100.100.200/32", // metadata of Alibaba Cloud
	"168.63.129.16/32",   // host agent of Azure
	"192.0.0.192/32",     // metadata of Oracle Cloud
	"0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8", "255.255.255.255/32",
)

// embedding are the IPv6 prefixes that embed an IPv4 address, and in which bytes: RFC 6052
// section 2.2 (NAT64), RFC 8215 (local-use NAT64, in its longest and its shortest form), RFC
// 3056 (6to4), RFC 4291 (IPv4-compatible).
var embedding = []struct {
	prefix netip.Prefix
	at     [4]int
}{
	{netip.MustParsePrefix("64:ff9b::/96"), [4]int{12, 13, 14, 15}},
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{12, 13, 14, 15}},
	{netip.MustParsePrefix("64:ff9b:1::/48"), [4]int{6, 7, 9, 10}},
	{netip.MustParsePrefix("2002::/16"), [4]int{2, 3, 4, 5}},
	{netip.MustParsePrefix("::/96"), [4]int{12, 13, 14, 15}},
}

// CheckNever returns an error that wraps [ErrNever] and [ErrBlocked] for an address that no
// setting permits, including IPv6 forms of an IPv4 address. It ignores zones.
func CheckNever(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if holds(never, a) {
		return fmt.Errorf("%w: %s %w", ErrBlocked, a, ErrNever)
	}
	if inner, found := embedded(a); found {
		return fmt.Errorf("%w: %s stands for %s, which %w", ErrBlocked, a, inner, ErrNever)
	}
	return nil
}

// embedded returns the IPv4 address that a embeds, if nothing permits that address.
func embedded(a netip.Addr) (netip.Addr, bool) {
	raw := a.As16()
	for _, e := range embedding {
		if !e.prefix.Contains(a) || a.IsLoopback() { // ::1 embeds nothing
			continue
		}
		inner := netip.AddrFrom4([4]byte{raw[e.at[0]], raw[e.at[1]], raw[e.at[2]], raw[e.at[3]]})
		if holds(never, inner) && !inner.IsUnspecified() { // all zero: no address is embedded there
			return inner, true
		}
	}
	return netip.Addr{}, false
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}
