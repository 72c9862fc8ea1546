package ingress

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// MaxDeadline leaves the answer time to travel before the sender gives up, which
// Get3W does after 30 s.
const MaxDeadline = 25 * time.Second

// MaxHeaderBytes is how large the header of a request may be. Beyond 4 KiB it is
// among the bytes in flight.
const MaxHeaderBytes = 64 << 10

// DefaultMaxConnections is the default of [Config.MaxConnections].
const DefaultMaxConnections = 10_000

// DefaultIdleTimeout is the default of [Config.IdleTimeout]: common load balancers keep
// idle connections for up to 600 s (Google's).
// Whoever closes first must be the balancer: a request that it sends into a connection
// which we are closing is lost to it.
const DefaultIdleTimeout = 620 * time.Second

// MaxIdleTimeout bounds [Config.IdleTimeout].
const MaxIdleTimeout = time.Hour

// MaxShutdownDelay bounds [Config.ShutdownDelay].
const MaxShutdownDelay = time.Minute

// Config of a [Server]. Zero values are defaults.
type Config struct {
	// Listen is the address to bind, default ":8080".
	Listen string
	// Deadline is how long after its headers a request is answered at the
	// latest, default 5 s, at most [MaxDeadline]. The body may take half of it.
	Deadline time.Duration
	// MaxBody is the largest body in bytes, default 4 MiB.
	MaxBody int64
	// MaxInFlight bounds the requests that are worked on at once, and apart from
	// them those whose body is arriving, default 4096 each.
	MaxInFlight int
	// MaxInFlightBytes bounds the bytes of all their bodies, and of their headers beyond
	// 4 KiB each, default 256 MiB, counted as they arrive, in steps of 4 KiB and later of
	// 64 KiB. It is at least MaxBody and [MaxHeaderBytes], so that the largest request
	// has room. Headers that are still arriving may take a quarter of it beside them, and
	// at least 128 KiB.
	MaxInFlightBytes int64
	// MaxConnections bounds the open connections, default 10,000. When another
	// one comes, the one that has waited longest for its peer is closed.
	MaxConnections int
	// IdleTimeout is how long a connection without a request is kept, default
	// [DefaultIdleTimeout], at most [MaxIdleTimeout].
	IdleTimeout time.Duration
	// MaxConnectionsPerAddress bounds those of one peer, or of one /64 of IPv6;
	// more are closed at once. Zero is no limit. Trusted proxies have none.
	MaxConnectionsPerAddress int
	// RatePerAddress is how many deliveries a second one client address, or one
	// /64 of IPv6, may send; more are answered 429. Zero is no limit. A trusted
	// proxy that does not say for whom it speaks has none.
	RatePerAddress float64
	// BurstPerAddress is how many it may send at once, default as many as in ten
	// seconds and at least 10.
	BurstPerAddress int
	// TrustedProxies are the networks whose X-Forwarded-For is believed, default
	// none.
	TrustedProxies []netip.Prefix
	// TLSCert and TLSKey are the paths of PEM files. With them the server speaks
	// HTTPS, HTTP/2 too; both are read again when they change. Default: neither.
	TLSCert, TLSKey string
	// ShutdownDelay is how long deliveries are still accepted after the end of
	// Run's context, while GET / answers 503, so that load balancers leave first.
	// Default none, at most [MaxShutdownDelay].
	ShutdownDelay time.Duration

	// For tests; the default is that of the constant.
	readHeaderTimeout time.Duration
}

func (c Config) withDefaults() Config {
	c.Listen = cmp.Or(c.Listen, ":8080")
	c.Deadline = cmp.Or(c.Deadline, 5*time.Second)
	c.MaxBody = cmp.Or(c.MaxBody, 4<<20)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 4096)
	c.MaxInFlightBytes = cmp.Or(c.MaxInFlightBytes, 256<<20)
	c.MaxConnections = cmp.Or(c.MaxConnections, DefaultMaxConnections)
	c.BurstPerAddress = cmp.Or(c.BurstPerAddress, int(min(max(10, 10*c.RatePerAddress), math.MaxInt32)))
	c.readHeaderTimeout = cmp.Or(c.readHeaderTimeout, readHeaderTimeout)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, DefaultIdleTimeout)
	return c
}

func (c Config) validate() error {
	switch {
	case c.Deadline < 0 || c.Deadline > MaxDeadline:
		return fmt.Errorf("ingress deadline is %v, it must be over zero and at most %v", c.Deadline, MaxDeadline)
	case c.MaxBody < 0:
		return fmt.Errorf("ingress max body is %d bytes, it must be over zero", c.MaxBody)
	case c.MaxInFlight < 0:
		return fmt.Errorf("ingress max in flight is %d, it must be over zero", c.MaxInFlight)
	case c.MaxInFlightBytes < c.MaxBody+MaxHeaderBytes:
		return fmt.Errorf("ingress max in flight bytes is %d, it must be at least max body, which is %d, and %d for a header", c.MaxInFlightBytes, c.MaxBody, MaxHeaderBytes)
	case c.MaxConnections < 0:
		return fmt.Errorf("ingress max connections is %d, it must be over zero", c.MaxConnections)
	case c.IdleTimeout < 0 || c.IdleTimeout > MaxIdleTimeout:
		return fmt.Errorf("ingress idle timeout is %v, it must be over zero and at most %v", c.IdleTimeout, MaxIdleTimeout)
	case c.MaxConnectionsPerAddress < 0:
		return fmt.Errorf("ingress max connections per address is %d, it cannot be negative", c.MaxConnectionsPerAddress)
	case c.RatePerAddress < 0 || math.IsNaN(c.RatePerAddress) || math.IsInf(c.RatePerAddress, 0):
		return fmt.Errorf("ingress rate per address is %v, it must be zero or more", c.RatePerAddress)
	case c.BurstPerAddress < 0:
		return fmt.Errorf("ingress burst per address is %d, it cannot be negative", c.BurstPerAddress)
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return errors.New("ingress TLS has only one of certificate and key, they come together")
	case c.ShutdownDelay < 0 || c.ShutdownDelay > MaxShutdownDelay:
		return fmt.Errorf("ingress shutdown delay is %v, it must be at most %v", c.ShutdownDelay, MaxShutdownDelay)
	}
	return nil
}
