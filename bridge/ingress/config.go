package ingress

import (
	"cmp"
	"fmt"
	"time"
)

// MaxDeadline leaves the answer time to travel before the sender gives up, which
// Get3W does after 30 s.
const MaxDeadline = 25 * time.Second

// Config of a [Server]. Zero values are defaults.
type Config struct {
	// Listen is the address to bind, default ":8080".
	Listen string
	// Deadline is how long after its headers a request is answered at the
	// latest, default 5 s, at most [MaxDeadline]. The body may take half of it.
	Deadline time.Duration
	// MaxBody is the largest body in bytes, default 4 MiB.
	MaxBody int64
	// MaxInFlight bounds the requests that are worked on at once, default 4096.
	MaxInFlight int
	// MaxInFlightBytes bounds the bytes of their bodies, default 256 MiB, counted
	// in steps of 64 KiB as they arrive.
	MaxInFlightBytes int64
}

func (c Config) withDefaults() Config {
	return Config{
		Listen:           cmp.Or(c.Listen, ":8080"),
		Deadline:         cmp.Or(c.Deadline, 5*time.Second),
		MaxBody:          cmp.Or(c.MaxBody, 4<<20),
		MaxInFlight:      cmp.Or(c.MaxInFlight, 4096),
		MaxInFlightBytes: cmp.Or(c.MaxInFlightBytes, 256<<20),
	}
}

func (c Config) validate() error {
	switch {
	case c.Deadline < 0 || c.Deadline > MaxDeadline:
		return fmt.Errorf("ingress deadline is %v, it must be over zero and at most %v", c.Deadline, MaxDeadline)
	case c.MaxBody < 0:
		return fmt.Errorf("ingress max body is %d bytes, it must be over zero", c.MaxBody)
	case c.MaxInFlight < 0:
		return fmt.Errorf("ingress max in flight is %d, it must be over zero", c.MaxInFlight)
	case c.MaxInFlightBytes < c.MaxBody:
		return fmt.Errorf("ingress max in flight bytes is %d, less than max body, which is %d", c.MaxInFlightBytes, c.MaxBody)
	}
	return nil
}
