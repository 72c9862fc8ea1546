// Package clientaddr reads addresses of clients, and says which of them count as one.
package clientaddr

import (
	"net"
	"net/netip"
	"strings"
)

// Parse reads an address with or without a port and brackets. It returns the zero Addr
// when there is none.
func Parse(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// Network is the network that limits count as one client: the address, or the /64 that one
// customer of a provider usually has for IPv6.
func Network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	network, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // a is the zero Addr
	}
	return network
}
