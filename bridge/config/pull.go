package config

import (
	"cmp"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// KindPull is the kind of a [Pull].
const KindPull = "pull"

// Pull is a consumer whose durable is kept here, and whose events a program of somebody
// else handles.
type Pull struct {
	Common `yaml:",inline"`

	// Lease is how long an event may be with the program without a sign of life until it is
	// delivered again, 1s to 1h. Default 30s.
	Lease Duration `yaml:"lease"`
	// MaxDeliveries is after how many deliveries an event is delivered no more, 2 to 10000.
	// Default 20.
	MaxDeliveries int `yaml:"max_deliveries"`
}

const (
	minPullLease, maxPullLease = Duration(time.Second), Duration(time.Hour)
	defaultPullLease           = Duration(30 * time.Second)

	// A delivery is not always an attempt: a program that stops gives events back, and a broken
	// network loses them. So the default is generous. The least is 2: for a durable that
	// delivers once the server does not say which events it gave up.
	defaultMaxDeliveries, minMaxDeliveries, maxMaxDeliveries = 20, 2, 10_000
)

func (p *Pull) fill(*Config) {
	if len(p.Filter.Status) == 0 && p.Filter.Event != bridge.KindArchived {
		p.Filter.Status = Strings{bridge.StatusCompleted, bridge.StatusFailed}
	}
	p.Start = cmp.Or(p.Start, "new")
	p.Lease = cmp.Or(p.Lease, defaultPullLease)
	p.MaxDeliveries = cmp.Or(p.MaxDeliveries, defaultMaxDeliveries)
}

func (p *Pull) check(c *Config, name string, found *Checker) {
	key := "consumers." + name
	between(found, key+".lease", p.Lease, minPullLease, maxPullLease)
	between(found, key+".max_deliveries", p.MaxDeliveries, minMaxDeliveries, maxMaxDeliveries)
	// Only the server filters for a pull consumer.
	if _, rest := p.Filter.Filter().Subjects(c.Names()); rest {
		found.Fail(key+".filter.model", "NATS cannot filter by it, and nobody else would: use whole parts and one * at the end, such as google/*")
	}
}

// Does implements [Consumer].
func (p *Pull) Does(*Config) string { return "is read by a program of your own" }
