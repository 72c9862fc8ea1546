package config

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"time"

	"github.com/hookspan/hookspan/internal/headers"
	"github.com/hookspan/hookspan/internal/streams"
)

// Ingress is the public listener, which takes webhooks.
type Ingress struct {
	// Listen is the address to listen on, host:port or :port, unless a socket was passed.
	// Default :8080.
	Listen string `yaml:"listen"`
	// PublicURL is where providers reach this listener, such as https://hooks.example.com.
	// It is put into the webhook_url of predictions that are submitted. Default none.
	PublicURL string `yaml:"public_url"`
	// Deadline is how long after its headers a request is answered at the latest. The
	// body may take half of it. Default 5s, at most 25s: senders give up after 30 s.
	Deadline Duration `yaml:"deadline"`
	// MaxBody is the size of the largest body. Default 4MiB, at most 8128KiB.
	MaxBody ByteSize `yaml:"max_body"`
	// MaxInFlight is how many requests are worked on at once, and beside them how many
	// may have a body that is still arriving. More are answered 503. Default 4096.
	MaxInFlight int `yaml:"max_in_flight"`
	// MaxInFlightBytes bounds the bytes of all bodies, and of headers beyond 4 KiB each,
	// counted as they arrive. Default 256MiB, at least max_body and 64 KiB.
	MaxInFlightBytes ByteSize `yaml:"max_in_flight_bytes"`
	// Ack is what a 200 waits for. local: the journal, which is synced to this machine's
	// disk. quorum: the stream's acknowledgement, or the journal when NATS gives none in
	// time. stream: the stream's alone, and there is no journal on this machine; it needs an
	// external NATS. Default local with the embedded NATS, quorum with an external one.
	Ack string `yaml:"ack"`
	// MaxConnections is how many connections may be open. When another one comes, the one
	// that has waited longest for its peer is closed. Default 10000.
	MaxConnections int `yaml:"max_connections"`
	// IdleTimeout is how long a connection without a request is kept, 1s to 1h. It must be
	// longer than the load balancer keeps idle connections: a request that the balancer
	// sends into a connection which this side closes is lost. Default 620s.
	IdleTimeout Duration `yaml:"idle_timeout"`
	// MaxConnectionsPerAddress bounds the connections of one address, or of one /64 of
	// IPv6; more are closed at once. Trusted proxies have no limit. Default 0: no limit.
	MaxConnectionsPerAddress int `yaml:"max_connections_per_address"`
	// RatePerAddress is how many deliveries one client address, or one /64 of IPv6, may
	// send, such as 50/s; more are answered 429. Default 0: no limit.
	RatePerAddress Rate `yaml:"rate_per_address"`
	// BurstPerAddress is how many deliveries one address may send at once. It needs
	// rate_per_address. Default as many as in ten seconds, at least 10.
	BurstPerAddress int `yaml:"burst_per_address"`
	// TrustedProxies are the addresses and networks, such as 10.0.0.0/8, whose
	// X-Forwarded-For is believed. Default none.
	TrustedProxies []string `yaml:"trusted_proxies"`
	// TLS has the listener speak HTTPS and nothing else. Default neither file.
	TLS Certificate `yaml:"tls"`
	// ShutdownDelay is how long deliveries are still accepted after a signal to stop, while
	// GET / answers 503, so that load balancers leave first. It has no effect on a socket that
	// was passed. Default 0s, at most 1m.
	ShutdownDelay Duration `yaml:"shutdown_delay"`
}

// Certificate names the PEM files of a certificate and its key, which come together. They
// are read again when they change.
type Certificate struct {
	// Cert is the path of the certificate, with those between it and its authority.
	Cert string `yaml:"cert"`
	// Key is the path of the private key.
	Key string `yaml:"key"`
}

// Values of Ingress.Ack.
const (
	AckLocal  = "local"
	AckQuorum = "quorum"
	AckStream = "stream"
)

const (
	// maxDeadline leaves the answer time to travel before the sender gives up, which
	// Get3W does after 30 s.
	maxDeadline                    = Duration(25 * time.Second)
	minIdleTimeout, maxIdleTimeout = Duration(time.Second), Duration(time.Hour)
	maxShutdownDelay               = Duration(time.Minute)
	maxBody                        = ByteSize(streams.MaxPayload - streams.HeaderRoom)
)

var (
	ackModes = []string{AckLocal, AckQuorum, AckStream}

	defaultIngress = Ingress{
		Listen:           ":8080",
		Deadline:         Duration(5 * time.Second),
		MaxBody:          4 << 20,
		MaxInFlight:      4096,
		MaxInFlightBytes: 256 << 20,
		MaxConnections:   10_000,
		// Common load balancers keep idle connections for up to 600 s (Google's).
		IdleTimeout: Duration(620 * time.Second),
	}
)

// Burst is BurstPerAddress, or its default where there is a rate.
func (in Ingress) Burst() int {
	if in.RatePerAddress > 0 && in.BurstPerAddress == 0 {
		return int(min(max(10, 10*in.RatePerAddress), math.MaxInt32))
	}
	return in.BurstPerAddress
}

func (in Ingress) check(c *Config, found *Checker) {
	if !isAddress(in.Listen) {
		found.Fail("ingress.listen", "use a host and a port, such as 127.0.0.1:8080, or a port alone, such as :8080")
	}
	if in.Deadline <= 0 || in.Deadline > maxDeadline {
		found.Fail("ingress.deadline", "it is %v: use more than zero and at most %v", in.Deadline, maxDeadline)
	}
	if in.MaxBody <= 0 || in.MaxBody > maxBody {
		found.Fail("ingress.max_body", "it is %d bytes: use 1 to %d", in.MaxBody, maxBody)
	}
	if in.MaxInFlight <= 0 {
		found.Fail("ingress.max_in_flight", "it is %d: use 1 or more", in.MaxInFlight)
	}
	if least := in.MaxBody + headers.MaxBytes; in.MaxInFlightBytes < least {
		found.Fail("ingress.max_in_flight_bytes", "it is %v: use at least %d, which is ingress.max_body and 64 KiB for a header", in.MaxInFlightBytes, least)
	}
	found.oneOf("ingress.ack", in.Ack, ackModes)
	if in.Ack == AckStream && !c.NATS.External() {
		found.Fail("ingress.ack", "stream is for an external NATS: the embedded one would cost a sync for each delivery, use local")
	}
	if in.MaxConnections <= 0 {
		found.Fail("ingress.max_connections", "it is %d: use 1 or more", in.MaxConnections)
	}
	if in.IdleTimeout < minIdleTimeout || in.IdleTimeout > maxIdleTimeout {
		found.Fail("ingress.idle_timeout", "it is %v: use %v to %v, and more than the load balancer keeps idle connections", in.IdleTimeout, minIdleTimeout, maxIdleTimeout)
	}
	if in.MaxConnectionsPerAddress < 0 {
		found.Fail("ingress.max_connections_per_address", "it is %d: use 1 or more, or 0 for no limit", in.MaxConnectionsPerAddress)
	}
	if in.BurstPerAddress < 0 || in.BurstPerAddress > 0 && in.RatePerAddress == 0 {
		found.Fail("ingress.burst_per_address", "it is %d: use 1 or more, together with ingress.rate_per_address", in.BurstPerAddress)
	}
	for _, text := range in.TrustedProxies {
		_, err := parseProxy(text)
		found.Check("ingress.trusted_proxies", err)
	}
	found.together("ingress.tls", "cert and key", in.TLS.Cert, in.TLS.Key)
	if u, err := url.Parse(in.PublicURL); in.PublicURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		found.Fail("ingress.public_url", "write an address such as https://hooks.example.com, without query")
	}
	if in.ShutdownDelay < 0 || in.ShutdownDelay > maxShutdownDelay {
		found.Fail("ingress.shutdown_delay", "it is %v: use at most %v", in.ShutdownDelay, maxShutdownDelay)
	}
}

// Proxies returns TrustedProxies as networks; one address is a network of its own.
func (in Ingress) Proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range in.TrustedProxies {
		network, err := parseProxy(text)
		if err != nil {
			return nil, err
		}
		out = append(out, network)
	}
	return out, nil
}

func parseProxy(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if one, e := netip.ParseAddr(text); e == nil {
		one = one.Unmap()
		network, err = one.Prefix(one.BitLen())
	}
	if err != nil {
		return network, fmt.Errorf("%q is no address and no network: write one such as 192.0.2.7 or 10.0.0.0/8", text)
	}
	return network.Masked(), nil
}
