package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/labstack/echo/v4"
)

// hosts are the names that a server may be called by. A web page whose own name was made
// to resolve to this server (DNS rebinding) calls it by that name, and can read what it
// answers. So every path is guarded, health and metrics too.
type hosts struct {
	loopback bool            // the server listens on a loopback address
	names    map[string]bool // lower case, without a dot at the end
}

func newHosts(names []string, loopback bool) hosts {
	h := hosts{loopback: loopback, names: map[string]bool{"localhost": true}}
	for _, name := range names {
		h.names[canonicalHost(name)] = true
	}
	return h
}

// canonicalHost is a name as it is compared: DNS knows no case, and its root is a dot.
func canonicalHost(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// allows reports whether a request with this header Host is answered. Addresses cannot be
// rebound; what probes ask by is the address of the pod. A server on loopback is called by
// a loopback address. Without the header it was no browser that asked.
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

// guard refuses a request under another name, before its path is looked at.
func (h hosts) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if !h.allows(c.Request().Host) {
			return echo.NewHTTPError(http.StatusForbidden,
				"This listener does not answer under this name: use its address, or add the name to admin.hosts.")
		}
		return next(c)
	}
}
