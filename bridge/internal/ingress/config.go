package ingress

import (
	"net"
	"net/netip"
	"time"
)

// Config of a [Server]. Zero values are not defaults: package config has the defaults and
// the limits.
type Config struct {
	// Listen is the address to bind, unless there is a Socket.
	Listen string
	// Socket listens already, and somebody else keeps it open for the next process. The
	// server closes its own descriptor. Nil: none.
	Socket *net.TCPListener
	// OwnSocket: nobody else keeps the Socket open.
	OwnSocket bool
	// Deadline is how long after its headers a request is answered at the latest. The body
	// may take half of it.
	Deadline time.Duration
	// MaxBody is the largest body in bytes.
	MaxBody int64
	// MaxInFlight bounds the requests that are processed at once and, separately, the
	// requests whose body is arriving.
	MaxInFlight int
	// MaxInFlightBytes bounds the bytes of all bodies, and of each request's headers beyond
	// 4 KiB. They are counted as they arrive, in steps of 4 KiB and later of 64 KiB. It is
	// at least MaxBody and [headers.MaxBytes], so that the largest request has room.
	// Headers that are still arriving have a separate budget of a quarter of it, and at
	// least 128 KiB.
	MaxInFlightBytes int64
	// MaxConnections bounds the open connections. A further one closes the one that has
	// waited longest for its peer.
	MaxConnections int
	// IdleTimeout is how long a connection without a request is kept.
	IdleTimeout time.Duration
	// MaxConnectionsPerAddress bounds the connections of one peer, or of one /64 of IPv6;
	// further ones are closed at once. Zero is no limit. Trusted proxies have none.
	MaxConnectionsPerAddress int
	// RatePerAddress bounds the deliveries per second of one client address, or of one /64
	// of IPv6; further ones are answered 429. Zero is no limit. A trusted proxy that does
	// not name its client has none.
	RatePerAddress float64
	// BurstPerAddress is how many deliveries one address may send at once.
	BurstPerAddress int
	// TrustedProxies are the networks whose X-Forwarded-For is trusted.
	TrustedProxies []netip.Prefix
	// TLSCert and TLSKey are paths of PEM files, read again when they change. With them the
	// server speaks HTTPS, HTTP/2 too.
	TLSCert, TLSKey string
	// ShutdownDelay is how long deliveries are still accepted after Run's context has
	// ended. GET / answers 503 meanwhile, so that load balancers leave first. With the
	// Socket of somebody else they need not leave, and it does not count.
	ShutdownDelay time.Duration
	// LogProblemsOnly: requests that went well, and became events where they are deliveries,
	// have no line in the log.
	LogProblemsOnly bool

	// headerTimeout is for tests; zero is readHeaderTimeout.
	headerTimeout time.Duration
	// timer is for tests, and ends each step of a hand-over; nil is a timer for each.
	timer <-chan time.Time
}
