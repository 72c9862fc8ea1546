package config

import (
	"net"
)

// Listener is an address that this process listens on, and its key. Standard is true of a
// default address: when it is taken, the bridge uses a free one beside it.
type Listener struct {
	Key, Address string
	Standard     bool
}

// ListenAddress returns the address to listen on, empty for none, and whether it is the default.
func (a Admin) ListenAddress() (address string, standard bool) {
	return orStandard(a.Listen, DefaultAdminListen)
}

// ListenAddress returns the address of the embedded server, empty for none, and whether it is
// the default.
func (n NATS) ListenAddress() (address string, standard bool) {
	return orStandard(n.Listen, DefaultNATSListen)
}

func orStandard(address *string, standard string) (string, bool) {
	if address == nil {
		return standard, true
	}
	return *address, false
}

// Listeners returns the addresses in the order in which they begin to listen.
func (c *Config) Listeners() []Listener {
	var all []Listener
	add := func(key, address string, standard bool) {
		if address != "" {
			all = append(all, Listener{key, address, standard})
		}
	}
	operators, standard := c.Admin.ListenAddress()
	add("admin.listen", operators, standard)
	if !c.NATS.External() {
		address, standard := c.NATS.ListenAddress()
		add("nats.listen", address, standard)
	}
	if c.Has(RoleIngress) {
		add("ingress.listen", c.Ingress.Listen, false)
	}
	return all
}

func (c *Config) checkListeners(found *Checker) {
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
