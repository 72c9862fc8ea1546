package config

import (
	"net"

	"github.com/hookspan/hookspan/bridge/internal/admin"
	"github.com/hookspan/hookspan/bridge/internal/stream"
)

// DefaultAdminListen is the address of the admin listener when the file names none.
const DefaultAdminListen = admin.DefaultListen

// listener is an address that this process listens on. A standard one, which the file
// does not name, gives way to a free one.
type listener struct {
	Key, Address string
	Standard     bool
}

// listeners are in the order in which they begin to listen.
func (c *Config) Listeners() []listener {
	var all []listener
	add := func(key string, address *string, standard string) {
		switch {
		case address == nil:
			all = append(all, listener{key, standard, true})
		case *address != "":
			all = append(all, listener{key, *address, false})
		}
	}
	if c.Has(RoleAdmin) {
		add("admin.listen", c.Admin.Listen, admin.DefaultListen)
	}
	if c.NATS.URL == "" {
		add("nats.listen", c.NATS.Listen, stream.DefaultNATSListen)
	}
	if c.Has(RoleIngress) {
		add("ingress.listen", &c.Ingress.Listen, "")
	}
	return all
}

// checkListens finds two listeners of one address.
func (c *Config) checkListens(found *Checker) {
	all := c.Listeners()
	for i, later := range all {
		for _, before := range all[:i] {
			if !later.Standard && overlap(later.Address, before.Address) {
				found.Fail(later.Key, "%s is %s: use another port for one of them", before.Key, before.Address)
			}
		}
	}
}

// overlap reports whether nobody can listen on both addresses.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	every := func(host string) bool { return host == "" || net.ParseIP(host).IsUnspecified() }
	return hostA == hostB || every(hostA) || every(hostB)
}
