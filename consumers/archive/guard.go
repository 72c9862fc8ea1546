package archive

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookspan/hookspan/internal/dialguard"
)

const (
	// maxURL bounds the address of an output, in bytes.
	maxURL = 8 << 10
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
	httpsPort = 443
)

var (
	errHost   = errors.New("host is not allowed")
	errScheme = errors.New("scheme is not allowed")
)

type guard struct {
	hosts map[string]bool // as canonicalHost writes them
	// families are what names end in, such as .example.com for *.example.com.
	families     []string
	allowPrivate bool
}

func newGuard(c Config) guard {
	g := guard{hosts: make(map[string]bool), allowPrivate: c.AllowPrivate}
	for _, h := range c.Hosts {
		family, is := strings.CutPrefix(h, "*.")
		if name, err := canonicalHost(family); is && err == nil {
			g.families = append(g.families, "."+name)
			continue
		}
		if name, err := canonicalHost(h); err == nil { // always: Config.validate has checked the hosts
			g.hosts[name] = true
		}
	}
	return g
}

// permits reports whether outputs may come from a host, as canonicalHost writes it.
func (g guard) permits(host string) bool {
	return g.hosts[host] || slices.ContainsFunc(g.families, func(family string) bool { return len(host) > len(family) && strings.HasSuffix(host, family) })
}

// check returns a fault for an address of [readAddress], or the target of a redirect, that must
// not be asked, or nil. The IP addresses behind its name are checked when they are dialled.
func (g guard) check(u *url.URL) *fault {
	host := hostOf(u)
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := dialguard.CheckNever(a); err != nil {
			f := refuse(host, "what is there is not for downloads", err)
			f.final = true
			return f
		}
	}
	if !g.permits(u.Hostname()) {
		return refuse(host, "if outputs may come from there, add it to consumers.<name>.hosts", fmt.Errorf("%w: %q", errHost, host))
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !g.allowPrivate) {
		return refuse(host, "outputs come over https only; for local trials, consumers.<name>.allow_private permits http",
			fmt.Errorf("%w: %q at %q", errScheme, u.Scheme, host))
	}
	return nil
}

// hostOf is the host as it can be shown: it comes from the sender, so it may be long and hold
// any bytes.
func hostOf(u *url.URL) string {
	const longest = 253 // what DNS allows
	host := u.Hostname()
	if len(host) > longest {
		host = host[:longest] + "…"
	}
	return strings.ToValidUTF8(host, "\uFFFD")
}

// newTransport makes the transport for https, or for http where plain is set.
func newTransport(c Config, plain bool) *http.Transport {
	permitted := dialguard.Config{Private: c.AllowPrivate, Plain: plain}
	if !c.AllowPrivate {
		permitted.Port = httpsPort
	}
	dialer := &net.Dialer{Timeout: c.Stall, Control: dialguard.New(permitted).Control}
	protocols := new(http.Protocols)
	// With HTTP/2 downloads from one host would share a connection, and one that is read slowly
	// would hold up the others.
	protocols.SetHTTP1(true)
	return &http.Transport{
		// A proxy would dial out of the guard's sight.
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		Protocols:              protocols,
		TLSHandshakeTimeout:    c.Stall,
		ResponseHeaderTimeout:  c.Stall,
		MaxResponseHeaderBytes: maxHeader,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true,
	}
}
