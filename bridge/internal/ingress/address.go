package ingress

import (
	"iter"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// maxHops bounds how much of X-Forwarded-For is read, from its end.
const maxHops = 16

// proxies are the networks whose word about a client's address is taken. None
// is trusted unless it is configured, not even a private one.
type proxies []netip.Prefix

func (p proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// client is the nearest address that is not a trusted proxy's. What stands in
// X-Forwarded-For left of it was written by somebody who is not trusted. A part
// that cannot be read ends the walk: then it is the proxy that handed it on.
func (p proxies) client(r *http.Request) netip.Addr {
	client := parseAddr(r.RemoteAddr)
	hops := 0
	for hop := range fromTheEnd(r.Header.Values("X-Forwarded-For")) {
		if hops++; hops > maxHops || !p.trust(client) {
			break
		}
		addr := parseAddr(hop)
		if !addr.IsValid() {
			break
		}
		client = addr
	}
	return client
}

func fromTheEnd(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, value := range slices.Backward(values) {
			for comma := len(value); comma >= 0; {
				value = value[:comma]
				comma = strings.LastIndexByte(value, ',')
				if !yield(strings.TrimSpace(value[comma+1:])) {
					return
				}
			}
		}
	}
}

// parseAddr reads an address with or without a port and brackets. It is the
// zero Addr when there is none.
func parseAddr(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// holder is the network that one customer of a provider usually has for itself:
// the address, or the /64 of an IPv6 address. Limits are counted by it.
func holder(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	network, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{} // of the zero Addr
	}
	return network
}

// clientAddr is where the request came from: the peer of the connection, or what
// a trusted proxy says. It is the zero Addr when that is unknown.
func clientAddr(c echo.Context) netip.Addr { return accessLine(c).remote }
