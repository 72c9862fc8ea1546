package ingress

import (
	"net/netip"
	"time"
)

// Config of a [Server]. It is complete: a field at its zero value is no default. Package
// config has the defaults and the limits.
type Config struct {
	// Listen is the address to bind.
	Listen string
	// Deadline is how long after its headers a request is answered at the latest. The body
	// may take half of it.
	Deadline time.Duration
	// MaxBody is the largest body in bytes.
	MaxBody int64
	// MaxInFlight bounds the requests that are worked on at once, and apart from
	// them those whose body is arriving.
	MaxInFlight int
	// MaxInFlightBytes bounds the bytes of all their bodies, and of their headers beyond
	// 4 KiB each, counted as they arrive, in steps of 4 KiB and later of 64 KiB. It is at
	// least MaxBody and [headers.MaxBytes], so that the largest request has room. Headers
	// that are still arriving may take a quarter of it beside them, and at least 128 KiB.
	MaxInFlightBytes int64
	// MaxConnections bounds the open connections. When another one comes, the one that has
	// waited longest for its peer is closed.
	MaxConnections int
	// IdleTimeout is how long a connection without a request is kept.
	IdleTimeout time.Duration
	// MaxConnectionsPerAddress bounds those of one peer, or of one /64 of IPv6;
	// more are closed at once. Zero is no limit. Trusted proxies have none.
	MaxConnectionsPerAddress int
	// RatePerAddress is how many deliveries a second one client address, or one
	// /64 of IPv6, may send; more are answered 429. Zero is no limit. A trusted
	// proxy that does not say for whom it speaks has none.
	RatePerAddress float64
	// BurstPerAddress is how many it may send at once.
	BurstPerAddress int
	// TrustedProxies are the networks whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// TLSCert and TLSKey are the paths of PEM files. With them the server speaks
	// HTTPS, HTTP/2 too; both are read again when they change.
	TLSCert, TLSKey string
	// ShutdownDelay is how long deliveries are still accepted after the end of
	// Run's context, while GET / answers 503, so that load balancers leave first.
	ShutdownDelay time.Duration

	// headerTimeout is for tests; zero is readHeaderTimeout.
	headerTimeout time.Duration
}
