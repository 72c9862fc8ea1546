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

// maxHops bounds the parts of X-Forwarded-For that are read, from its end.
const maxHops = 16

// proxies are the networks whose X-Forwarded-For is trusted. Only configured ones are, not
// even private networks.
type proxies []netip.Prefix

func (p proxies) trust(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(a) })
}

// client returns the nearest address that is not a trusted proxy's. Parts of
// X-Forwarded-For to its left come from somebody untrusted. If a part cannot be read, the
// client is the proxy that added it.
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

// parseAddr reads an address with or without a port and brackets. It returns the zero Addr
// when there is none.
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

// holder is the network that limits count as one client: the address, or the /64 that one
// customer of a provider usually has for IPv6.
func holder(a netip.Addr) netip.Prefix {
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

// clientAddr returns the connection's peer, or the client that a trusted proxy names. It is
// the zero Addr when unknown.
func clientAddr(c echo.Context) netip.Addr { return accessLine(c).remote }
