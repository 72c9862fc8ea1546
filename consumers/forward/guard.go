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

	"github.com/hookspan/hookspan/internal/neverdial"
)

// errBlocked says that an address must not be dialled.
var errBlocked = errors.New("address is not permitted")

// private are the networks that Config.AllowPrivate permits.
var private = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")

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
	if err := neverdial.Check(a); err != nil {
		return fmt.Errorf("%w: %w", errBlocked, err)
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
