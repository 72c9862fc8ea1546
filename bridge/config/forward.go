package config

import (
	"cmp"
	"net/netip"
	"net/url"

	"github.com/hookspan/hookspan/consumers/forward"
)

// KindForward is the kind of a [Forward].
const KindForward = "forward"

// Forward is a consumer that posts each event to one service over HTTP.
type Forward struct {
	Common   `yaml:",inline"`
	Attempts `yaml:",inline"`

	// URL is the address of the service, without user and password, required.
	URL string `yaml:"url" jsonschema:"required" cut:"host"`
	// Mode is binary (the sender's body, with the CloudEvents attributes in headers) or
	// structured (one CloudEvents document in JSON). Default binary.
	Mode string `yaml:"mode"`
	// Secret is the place of the secret that signs requests by Standard Webhooks. Either
	// secret or secrets is required.
	Secret SecretRef `yaml:"secret"`
	// Secrets are the places of several secrets while the secret is changed: each makes a
	// signature.
	Secrets []SecretRef `yaml:"secrets"`
	// Refuse are the status codes by which the service says that it does not want an event,
	// which makes a dead letter at once, 300 to 599. Default 400, 413 and 422.
	Refuse []int `yaml:"refuse"`
	// ConnectTimeout bounds the making of the connection, and then its TLS handshake.
	// Default 5s.
	ConnectTimeout Duration `yaml:"connect_timeout"`
	// HeaderTimeout bounds the time from the sent request to the header of the answer.
	// Default none but timeout.
	HeaderTimeout Duration `yaml:"header_timeout"`
	// AllowPrivate permits loopback and private addresses too, and http to them. Default false.
	AllowPrivate bool `yaml:"allow_private"`
	// AllowNetworks are networks and addresses, such as 10.0.0.0/8, that are permitted too,
	// and http to them. Default none.
	AllowNetworks []string `yaml:"allow_networks"`
}

func (f *Forward) fill(*Config) {
	f.Start = cmp.Or(f.Start, "new")
	f.Concurrency = cmp.Or(f.Concurrency, forward.DefaultConcurrency)
	f.Timeout = cmp.Or(f.Timeout, Duration(forward.DefaultTimeout))
}

func (f *Forward) check(_ *Config, name string, found *Checker) {
	key := "consumers." + name
	f.checkAttempts(key, found)
	_, err := forward.CheckURL(f.URL, f.AllowPrivate || len(f.AllowNetworks) > 0)
	found.Check(key+".url", err)
	if f.Mode != "" {
		found.oneOf(key+".mode", f.Mode, forward.Modes)
	}
	switch {
	case f.Secret == "" && len(f.Secrets) == 0:
		found.Fail(key+".secret", "requests are signed: write env:NAME or file:PATH, which the service has too")
	case f.Secret != "" && len(f.Secrets) > 0:
		found.Fail(key+".secrets", "use either secret or secrets")
	}
	for _, status := range f.Refuse {
		found.Check(key+".refuse", forward.CheckStatus(status))
	}
	if f.ConnectTimeout < 0 {
		found.Fail(key+".connect_timeout", "it is %v: use more than zero", f.ConnectTimeout)
	}
	if f.HeaderTimeout < 0 {
		found.Fail(key+".header_timeout", "it is %v: use more than zero", f.HeaderTimeout)
	}
	for _, text := range f.AllowNetworks {
		_, err := forward.ParseNetwork(text)
		found.Check(key+".allow_networks", err)
	}
}

// Networks returns AllowNetworks as networks.
func (f *Forward) Networks() ([]netip.Prefix, error) {
	networks := make([]netip.Prefix, len(f.AllowNetworks))
	for i, text := range f.AllowNetworks {
		var err error
		if networks[i], err = forward.ParseNetwork(text); err != nil {
			return nil, err
		}
	}
	return networks, nil
}

// Does implements [Consumer]. It leaves the path of the address out: services have tokens in it.
func (f *Forward) Does(*Config) string {
	u, err := url.Parse(f.URL)
	if err != nil {
		return "posts events to a service" // cannot happen: the URL was checked
	}
	return "posts events to " + u.Scheme + "://" + u.Host
}

// Signing returns the places of the secrets that sign, and their key in the file, such as
// secret.
func (f *Forward) Signing() (refs []SecretRef, key string) {
	if f.Secret != "" {
		return []SecretRef{f.Secret}, "secret"
	}
	return f.Secrets, "secrets"
}
