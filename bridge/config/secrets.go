package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// unreserved is what RFC 3986 section 2.3 lets stand in a URL as it is.
var unreserved = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// pathToken looks up the secret in the URL of a source, nil when it has none.
func (s sourceConfig) ReadPathToken(name string, getenv func(string) (string, bool)) ([]byte, error) {
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

// secretFiles are the files that have secrets in them which are read again: those
// of sources, of their APIs and of consumers, as far as this process has them.
func (c *Config) SecretFiles() []string {
	var refs []SecretRef
	if c.Has(RoleIngress) {
		for _, s := range c.Sources {
			refs = slices.Concat(refs, s.Secrets, s.RetiredSecrets, []SecretRef{s.PathToken})
		}
	}
	for _, s := range c.Sources {
		if c.AsksProviders() {
			refs = append(refs, s.API.Key)
		}
		if c.Submits() {
			refs = append(refs, s.PathToken)
		}
	}
	if c.Has(RoleConsumers) {
		for _, cons := range c.Consumers {
			refs = append(refs, cons.Signing()...)
		}
	}
	var files []string
	for _, ref := range refs {
		if path, ok := strings.CutPrefix(string(ref), "file:"); ok {
			files = append(files, path)
		}
	}
	return files
}
