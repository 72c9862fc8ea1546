package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
)

// Source is one sender of webhooks.
type Source struct {
	// Kind says how the sender signs and writes. Default get3w.
	Kind string `yaml:"kind"`
	// Secrets are the places of the secrets that the sender signs with: a delivery that any
	// of them signed is authentic. Without one every delivery is answered 401.
	Secrets []SecretRef `yaml:"secrets"`
	// RetiredSecrets are the places of secrets that are no longer accepted. They explain
	// why a delivery was refused, and accept none.
	RetiredSecrets []SecretRef `yaml:"retired_secrets"`
	// MaxAge is how long after its completed_at a terminal delivery is accepted; an older
	// one may be a captured request that is sent again, and is quarantined. Default 1h, at
	// most 1h56m20s: with the sender's retries it fits into the two hours for which
	// duplicates are known.
	MaxAge Duration `yaml:"max_age"`
	// PathToken is the place of a second secret, which is the last part of the URL then. It
	// may have letters, digits and -._~. Default none.
	PathToken SecretRef `yaml:"path_token"`
	// Query are up to 8 names of URL parameters that travel with the event. The signature
	// does not cover them. Default none.
	Query []string `yaml:"query"`
	// API is where the provider is asked for predictions whose webhook does not come, and
	// where predictions are submitted. Without a key neither is done.
	API API `yaml:"api"`
}

// API is the interface of a provider. Without a key nothing is asked.
type API struct {
	// BaseURL is the address of the API: https, or http to an address of this machine.
	// Default that of the source's kind.
	BaseURL string `yaml:"base_url"`
	// Key is the place of the key, which travels with every request.
	Key SecretRef `yaml:"key"`
	// Rate is how often all processes together ask for results, at most. Default 5/s, at
	// most 1000/s.
	Rate Rate `yaml:"rate"`
	// PollAfter is for how long a prediction is left to its webhook at least, counted from
	// when its end is expected. Default as long as the sender goes on, at most 24h.
	PollAfter Duration `yaml:"poll_after"`
}

const (
	defaultSource     = "get3w"
	defaultSourceKind = "get3w"

	// A signature without a time never expires, so an older delivery counts as a captured
	// request that is sent again.
	defaultMaxAge = Duration(time.Hour)

	defaultPollRate = Rate(5)
	maxPollRate     = 1000
	maxPollAfter    = Duration(24 * time.Hour)
)

func defaultSources() map[string]Source {
	return map[string]Source{defaultSource: {Secrets: []SecretRef{"env:GET3W_WEBHOOK_SECRET"}}}
}

func (s *Source) fill() {
	s.Kind = cmp.Or(s.Kind, defaultSourceKind)
	s.MaxAge = cmp.Or(s.MaxAge, defaultMaxAge)
	if kind, err := source.KindOf(s.Kind); err == nil && s.API.Key != "" {
		s.API.BaseURL = cmp.Or(s.API.BaseURL, kind.BaseURL())
		s.API.Rate = cmp.Or(s.API.Rate, defaultPollRate)
		s.API.PollAfter = cmp.Or(s.API.PollAfter, Duration(kind.RetrySpan()))
	}
}

func (s Source) check(c *Config, name string, found *Checker) {
	key := "sources." + name
	found.Check(key, bridge.CheckName("source", name))
	kind, err := source.KindOf(s.Kind)
	if err != nil {
		found.Fail(key+".kind", "%v", err)
		return
	}
	// Within the window a repeated delivery is a known duplicate; after it the delivery must be
	// stale.
	if limit := c.Duplicates() - kind.RetrySpan(); s.MaxAge <= 0 || s.MaxAge > Duration(limit) {
		found.Fail(key+".max_age", "it is %v: use more than zero and at most %v", s.MaxAge, limit.Truncate(time.Second))
	}
	s.API.check(key+".api", found)
	if len(s.Query) > bridge.MaxQueryKeys {
		found.Fail(key+".query", "it has %d names: use at most %d", len(s.Query), bridge.MaxQueryKeys)
	}
	for _, q := range s.Query {
		found.Check(key+".query", bridge.CheckName("query parameter", q))
	}
}

// check lets the key travel without TLS only to this machine.
func (a API) check(key string, found *Checker) {
	if a == (API{}) {
		return
	}
	if a.Key == "" {
		found.Fail(key, "it has no key, and without one the provider is not asked: write key: env:NAME or file:PATH")
		return
	}
	u, err := url.Parse(a.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.HasSuffix(u.Path, "/"):
		found.Fail(key+".base_url", "write an address such as https://api.get3w.com/api/v3, without credentials, query and slash at the end")
	case u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u.Hostname())):
		found.Fail(key+".base_url", "use https, or http to an address of this machine: the key travels with every question")
	}
	if a.Rate > maxPollRate {
		found.Fail(key+".rate", "it is more than %d/s: use less", maxPollRate)
	}
	if a.PollAfter < 0 || a.PollAfter > maxPollAfter {
		found.Fail(key+".poll_after", "it is %v: use at most %v", a.PollAfter, maxPollAfter)
	}
}

// IsLoopback reports whether a host, without port, is this machine.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// unreserved are the characters that RFC 3986 section 2.3 allows in a URL unescaped.
var unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// ReadPathToken looks up the path token of the source with the name, nil when it has none. The
// error names the key.
func (s Source) ReadPathToken(name string, getenv func(string) (string, bool)) ([]byte, error) {
	if s.PathToken == "" {
		return nil, nil
	}
	token, err := s.PathToken.Require(getenv)
	if err == nil && !unreserved.Match(token) {
		err = errors.New("it must be of letters, digits and - . _ ~, which mean the same in every URL")
	}
	if err != nil {
		return nil, fmt.Errorf("sources.%s.path_token: %w", name, err)
	}
	return token, nil
}

// OutputLife returns how long the provider of the named source keeps outputs, 0 when that is
// unknown.
func (c *Config) OutputLife(name string) time.Duration {
	kind, err := source.KindOf(c.Sources[name].Kind)
	if err != nil {
		return 0
	}
	return kind.OutputLife()
}

// OutputDelay returns how long outputs of the named source may come late.
func (c *Config) OutputDelay(name string) time.Duration {
	kind, err := source.KindOf(c.Sources[name].Kind)
	if err != nil {
		return source.DefaultOutputDelay
	}
	return kind.OutputDelay()
}
