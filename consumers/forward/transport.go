package forward

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/hookspan/hookspan/internal/dialguard"
)

// ParseNetwork reads a network, such as 10.0.0.0/8, or one address.
func ParseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if one, e := netip.ParseAddr(text); e == nil && one.Zone() == "" {
		network, err = netip.PrefixFrom(one, one.BitLen()), nil
	}
	if err != nil || network.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%.50q is no network: write one such as 10.0.0.0/8, or an address", text)
	}
	return network.Masked(), nil
}

const (
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader   = 64 << 10
	idleTimeout = 30 * time.Second
)

// newTransport makes the transport for https, or for http where plain is set.
func newTransport(c Config, plain bool) *http.Transport {
	permitted := dialguard.Config{Private: c.AllowPrivate, Networks: c.AllowNetworks, Plain: plain}
	dialer := &net.Dialer{Timeout: c.ConnectTimeout, Control: dialguard.New(permitted).Control, Resolver: c.Resolver}
	protocols := new(http.Protocols)
	// Over HTTP/2 all requests would share one connection, and hang with it. With HTTP/1 each
	// request has its own, which is cheap since connections are kept.
	protocols.SetHTTP1(true)
	return &http.Transport{
		// A proxy would dial out of the guard's sight.
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		Protocols:              protocols,
		TLSHandshakeTimeout:    c.ConnectTimeout,
		ResponseHeaderTimeout:  c.HeaderTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        c.Concurrency,
		MaxIdleConnsPerHost:    c.Concurrency,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
	}
}
