// Package dialguard decides which network addresses may be dialled: public ones, and networks
// that an operator permits. A few are never dialled, whatever is permitted, such as the
// metadata services of clouds.
package dialguard

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"code.dny.dev/ssrf"
)

// ErrBlocked is wrapped by every error of this package.
var ErrBlocked = errors.New("address is not permitted")

// private are loopback, RFC 1918, RFC 6598 and RFC 4193.
var private = prefixes("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "::1/128", "fc00::/7")

// nat64 is the prefix behind which a network without IPv4 reaches IPv4 addresses, public
// and private ones (RFC 6052).
var nat64 = prefixes("64:ff9b::/96")

// Config says what a [Guard] permits. The zero value permits public addresses at any port.
type Config struct {
	// Private permits loopback and private networks: RFC 1918, RFC 6598 and RFC 4193, and,
	// unless Plain is set, IPv4 behind NAT64 (RFC 6052).
	Private bool
	// Networks are permitted too.
	Networks []netip.Prefix
	// Plain is for connections without TLS: only permitted networks may be dialled, no public
	// address.
	Plain bool
	// Port, unless zero, is the only permitted port outside the permitted networks.
	Port uint16
}

// Guard checks the addresses of one dialer against a [Config]. It is safe for concurrent use.
type Guard struct {
	permitted []netip.Prefix
	plain     bool
	public    *ssrf.Guardian
}

// New returns the guard of a configuration.
func New(c Config) *Guard {
	ports := ssrf.WithAnyPort()
	if c.Port > 0 {
		ports = ssrf.WithPorts(c.Port)
	}
	g := &Guard{permitted: c.Networks, plain: c.Plain, public: ssrf.New(ports)}
	if c.Private {
		g.permitted = slices.Concat(private, c.Networks)
	}
	if c.Private && !c.Plain {
		g.permitted = append(g.permitted, nat64...)
	}
	return g
}

// Control is for net.Dialer, which calls it after name resolution, for each address: DNS
// answers cannot bypass the guard. The error wraps [ErrBlocked].
func (g *Guard) Control(network, address string, c syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBlocked, err)
	}
	a := at.Addr().Unmap().WithZone("")
	if err := CheckNever(a); err != nil {
		return err
	}
	switch {
	case holds(g.permitted, a):
		return nil
	case g.plain:
		return fmt.Errorf("%w: http goes into permitted networks only, and %s is in none", ErrBlocked, a)
	}
	if err := g.public.Safe(network, netip.AddrPortFrom(a, at.Port()).String(), c); err != nil {
		return fmt.Errorf("%w: %w", ErrBlocked, err)
	}
	return nil
}
