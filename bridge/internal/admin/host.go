package admin

import (
	"net"
	"net/netip"
	"strings"
)

// hosts are the names that a server may be called by, on every path. A web page whose own
// name was made to resolve to this server (DNS rebinding) calls the server by that name and
// could read its answers.
type hosts struct {
	loopback bool            // the server listens on a loopback address
	names    map[string]bool // lower case, without a final dot
}

func newHosts(names []string, loopback bool) hosts {
	h := hosts{loopback: loopback, names: map[string]bool{"localhost": true}}
	for _, name := range names {
		h.names[canonicalHost(name)] = true
	}
	return h
}

// canonicalHost returns a name for comparison: DNS ignores case and a final dot.
func canonicalHost(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// allows reports whether a request with this Host header is answered. Addresses cannot be
// rebound, and probes use the pod's. A server on loopback is called by a loopback address.
// A request without the header comes from no browser.
func (h hosts) allows(host string) bool {
	name := host
	if without, _, err := net.SplitHostPort(host); err == nil {
		name = without
	}
	if host == "" || h.names[canonicalHost(name)] {
		return true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"))
	return err == nil && (!h.loopback || addr.Unmap().IsLoopback())
}
