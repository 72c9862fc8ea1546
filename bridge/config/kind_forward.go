package config

import (
	"net/url"
	"slices"
	"strings"

	"github.com/hookspan/hookspan/consumers/forward"
)

const KindForward = "forward"

var forwardKind = kind{
	keys: []string{
		"url", "mode", "secret", "secrets", "refuse", "connect_timeout", "header_timeout", "allow_private", "allow_networks",
	},
	defaults: fillForwardDefaults,
	check:    checkForward,
	Does:     forwardDoes,
}

func fillForwardDefaults(_ *Config, cons *ConsumerConfig) {
	if cons.Concurrency == 0 {
		cons.Concurrency = forward.DefaultConcurrency
	}
	if cons.Timeout == 0 {
		cons.Timeout = duration(forward.DefaultTimeout)
	}
}

func checkForward(_ *Config, found *Checker, key string, cons ConsumerConfig) {
	_, err := forward.CheckURL(cons.URL, cons.AllowPrivate || len(cons.AllowNetworks) > 0)
	found.Check(key+".url", err)
	if cons.Mode != "" && !slices.Contains(forward.Modes, cons.Mode) {
		found.Fail(key+".mode", "use %s", strings.Join(forward.Modes, " or "))
	}
	switch {
	case cons.Secret == "" && len(cons.Secrets) == 0:
		found.Fail(key+".secret", "requests are signed: write env:NAME or file:PATH, which the service has too")
	case cons.Secret != "" && len(cons.Secrets) > 0:
		found.Fail(key+".secrets", "use either secret or secrets")
	}
	for _, status := range cons.Refuse {
		found.Check(key+".refuse", forward.CheckStatus(status))
	}
	for name, d := range map[string]duration{"connect_timeout": cons.ConnectTimeout, "header_timeout": cons.HeaderTimeout} {
		if d < 0 {
			found.Fail(key+"."+name, "it is %v: use more than zero", d)
		}
	}
	for _, text := range cons.AllowNetworks {
		_, err := forward.ParseNetwork(text)
		found.Check(key+".allow_networks", err)
	}
}

// forwardDoes leaves the path of the address out: services have tokens in it.
func forwardDoes(_ *Config, cons ConsumerConfig) string {
	u, err := url.Parse(cons.URL)
	if err != nil {
		return "posts events to a service" // it was checked
	}
	return "posts events to " + u.Scheme + "://" + u.Host
}

// signing are the secrets that a consumer signs with.
func (c ConsumerConfig) Signing() []SecretRef {
	if c.Secret != "" {
		return []SecretRef{c.Secret}
	}
	return c.Secrets
}

// signingKey is where they stand in the configuration.
func (c ConsumerConfig) SigningKey(name string) string {
	if c.Secret != "" {
		return "consumers." + name + ".secret"
	}
	return "consumers." + name + ".secrets"
}
