package main

import (
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/hookspan/hookspan/consumers"
	"github.com/hookspan/hookspan/consumers/forward"
)

const kindForward = "forward"

var forwardKind = kind{
	keys: []string{
		"url", "mode", "secret", "secrets", "refuse", "connect_timeout", "header_timeout", "allow_private", "allow_networks",
	},
	defaults: fillForwardDefaults,
	check:    checkForward,
	does:     forwardDoes,
	lacks:    forwardLacks,
	handler:  newForward,
}

func fillForwardDefaults(_ *config, cons *consumerConfig) {
	if cons.Concurrency == 0 {
		cons.Concurrency = forward.DefaultConcurrency
	}
	if cons.Timeout == 0 {
		cons.Timeout = duration(forward.DefaultTimeout)
	}
}

func checkForward(_ *config, found *checker, key string, cons consumerConfig) {
	_, err := forward.CheckURL(cons.URL, cons.AllowPrivate || len(cons.AllowNetworks) > 0)
	found.check(key+".url", err)
	if cons.Mode != "" && !slices.Contains(forward.Modes, cons.Mode) {
		found.fail(key+".mode", "use %s", strings.Join(forward.Modes, " or "))
	}
	switch {
	case cons.Secret == "" && len(cons.Secrets) == 0:
		found.fail(key+".secret", "requests are signed: write env:NAME or file:PATH, which the service has too")
	case cons.Secret != "" && len(cons.Secrets) > 0:
		found.fail(key+".secrets", "use either secret or secrets")
	}
	for _, status := range cons.Refuse {
		found.check(key+".refuse", forward.CheckStatus(status))
	}
	for name, d := range map[string]duration{"connect_timeout": cons.ConnectTimeout, "header_timeout": cons.HeaderTimeout} {
		if d < 0 {
			found.fail(key+"."+name, "it is %v: use more than zero", d)
		}
	}
	for _, text := range cons.AllowNetworks {
		_, err := forward.ParseNetwork(text)
		found.check(key+".allow_networks", err)
	}
}

// forwardDoes leaves the path of the address out: services have tokens in it.
func forwardDoes(_ *config, cons consumerConfig) string {
	u, err := url.Parse(cons.URL)
	if err != nil {
		return "posts events to a service" // it was checked
	}
	return "posts events to " + u.Scheme + "://" + u.Host
}

// notToken is what cannot stand in a product version of User-Agent, see RFC 9110
// section 10.1.5.
var notToken = regexp.MustCompile(`[^0-9A-Za-z.+_-]+`)

// userAgent is what this program calls itself to others.
func userAgent() string {
	return "Hookspan/" + strings.Trim(notToken.ReplaceAllString(version(), "-"), "-")
}

func newForward(p *parts, name string, c consumerConfig) (consumers.Handler, error) {
	user := &secretUser{consumer: name, key: c.signingKey(name), refs: c.signing(), check: forward.CheckSecret}
	if err := user.read(p.getenv); err != nil {
		return nil, err
	}
	networks := make([]netip.Prefix, len(c.AllowNetworks))
	for i, text := range c.AllowNetworks {
		var err error
		if networks[i], err = forward.ParseNetwork(text); err != nil {
			return nil, err
		}
	}
	f, err := forward.New(forward.Config{
		Name: name, URL: c.URL, Mode: forward.Mode(c.Mode), Secrets: user.next, Refuse: c.Refuse,
		AllowPrivate: c.AllowPrivate, AllowNetworks: networks, Concurrency: c.Concurrency,
		ConnectTimeout: time.Duration(c.ConnectTimeout), HeaderTimeout: time.Duration(c.HeaderTimeout), Timeout: time.Duration(c.Timeout),
		UserAgent: userAgent(),
		Alarms:    p.store.alarms, Logger: p.log.Named("forward").With(zap.String("consumer", name)),
	})
	if err != nil {
		return nil, err
	}
	p.onStop.add(f.Close)
	user.set = f.SetSecrets
	p.secrets.add(user)
	return f, register(p.metrics, f.Collectors()...)
}

// signing are the secrets that a consumer signs with.
func (c consumerConfig) signing() []secretRef {
	if c.Secret != "" {
		return []secretRef{c.Secret}
	}
	return c.Secrets
}

// signingKey is where they stand in the configuration.
func (c consumerConfig) signingKey(name string) string {
	if c.Secret != "" {
		return "consumers." + name + ".secret"
	}
	return "consumers." + name + ".secrets"
}
