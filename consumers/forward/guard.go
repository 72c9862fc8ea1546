package forward

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// errBlocked says that an address must not be dialled.
var errBlocked = errors.New("address is not permitted")

// private are the networks that Config.AllowPrivate permits.
var private = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")

// never are addresses that no setting permits: what they answer is for the machine
// itself, such as its credentials in a cloud, or they are nobody's own.
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

// embedding are the prefixes of IPv6 that hold an address of IPv4, and in which
// bytes: RFC 6052 section 2.2 (NAT64), RFC 8215 (NAT64 of one's own, in its longest
// and its shortest form), RFC 3056 (6to4), RFC 4291 (IPv4-compatible).
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

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// ParseNetwork reads a network, such as 10.0.0.0/8, or one address.
func ParseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if one, e := netip.ParseAddr(text); e == nil && one.Zone() == "" {
		network, err = netip.PrefixFrom(one, one.BitLen()), nil
	}
	if err != nil || network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%.50q is no network: write one such as 10.0.0.0/8, or an address", text)
	}
	return network.Masked(), nil
}

func holds(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// guard says what may be dialled.
type guard struct {
	allowed []netip.Prefix
	plain   bool // the target is reached by http
	public  *ssrf.Guardian
}

func newGuard(c Config, plain bool) guard {
	g := guard{allowed: c.AllowNetworks, plain: plain, public: ssrf.New(ssrf.WithAnyPort())}
	if c.AllowPrivate {
		g.allowed = slices.Concat(c.AllowNetworks, private)
	}
	return g
}

// control is for net.Dialer: it is asked after the name was resolved, for each
// address that is tried, so that no answer of the DNS gets around it.
func (g guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", errBlocked, err)
	}
	return g.check(at.Addr())
}

func (g guard) check(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if holds(never, a) {
		return fmt.Errorf("%w: %s is never asked, whatever is allowed", errBlocked, a)
	}
	if inner, found := embedded(a); found {
		return fmt.Errorf("%w: %s stands for %s, which is never asked, whatever is allowed", errBlocked, a, inner)
	}
	switch {
	case holds(g.allowed, a):
		return nil
	case g.plain:
		return fmt.Errorf("%w: http goes to allowed networks only, and %s is in none: use https, or name its network in allow_networks", errBlocked, a)
	}
	if err := g.public.SafeAddr(a); err != nil {
		return fmt.Errorf("%w: %w: if the target is there, name its network in allow_networks", errBlocked, err)
	}
	return nil
}

// embedded is the address of IPv4 that is never asked and that a stands for.
func embedded(a netip.Addr) (netip.Addr, bool) {
	raw := a.As16()
	for _, e := range embedding {
		if !e.prefix.Contains(a) || a.IsLoopback() { // ::1 stands for nothing
			continue
		}
		inner := netip.AddrFrom4([4]byte{raw[e.at[0]], raw[e.at[1]], raw[e.at[2]], raw[e.at[3]]})
		if holds(never, inner) && !inner.IsUnspecified() { // all zero: no address is in that place
			return inner, true
		}
	}
	return netip.Addr{}, false
}

const (
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
	// idleTimeout is how long an unused connection is kept.
	idleTimeout = 30 * time.Second
)

func newTransport(c Config, g guard) *http.Transport {
	dialer := &net.Dialer{Timeout: c.ConnectTimeout, Control: g.control, Resolver: c.Resolver}
	protocols := new(http.Protocols)
	// Over HTTP/2 all requests would share one connection: when it hangs, all of
	// them hang. So each has one of its own, which is cheap with connections that
	// are kept.
	protocols.SetHTTP1(true)
	return &http.Transport{
		// A proxy would dial for us, out of the guard's sight.
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		Protocols:              protocols,
		TLSHandshakeTimeout:    c.ConnectTimeout,
		ResponseHeaderTimeout:  c.HeaderTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        c.Concurrency,
		MaxIdleConnsPerHost:    c.Concurrency,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
	}
}
