package ingress

import (
	"iter"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hookspan/hookspan/internal/clientaddr"
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
	client := clientaddr.Parse(r.RemoteAddr)
	hops := 0
	for hop := range fromTheEnd(r.Header.Values("X-Forwarded-For")) {
		if hops++; hops > maxHops || !p.trust(client) {
			break
		}
		addr := clientaddr.Parse(hop)
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

// clientAddr returns the connection's peer, or the client that a trusted proxy names. It is
// the zero Addr when unknown.
func clientAddr(c echo.Context) netip.Addr { return accessLine(c).remote }
