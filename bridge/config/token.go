package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// Token is a secret that lets its holder call the API, as far as its scopes go.
type Token struct {
	// Name tells tokens apart in the audit.
	Name string `yaml:"name" jsonschema:"required"`
	// Scopes are what the holder may do: read (ask), act (change), submit (announce and
	// submit predictions). None includes another one.
	Scopes []string `yaml:"scopes" jsonschema:"required"`
	// Secret is the place of the token: 16 to 512 letters, digits and signs of ASCII,
	// without a space.
	Secret SecretRef `yaml:"secret" jsonschema:"required"`
}

const maxTokens = 64

func (a Admin) checkTokens(found *Checker) {
	if len(a.Tokens) > maxTokens {
		found.Fail("admin.tokens", "there are %d: use at most %d", len(a.Tokens), maxTokens)
	}
	var names []string
	var secrets []SecretRef
	for _, t := range a.Tokens {
		switch { // a value is not repeated: it may be a secret in the wrong place
		case bridge.CheckName("token", t.Name) != nil:
			found.Fail("admin.tokens", "the name of one cannot be used: it has 1 to 32 of a-z, 0-9, _ and -, and begins with a letter or digit")
		case t.Name == adminapi.Loopback:
			found.Fail("admin.tokens", "the audit calls those %s who need no token: use another name", adminapi.Loopback)
		case slices.Contains(names, t.Name):
			found.Fail("admin.tokens", "two have one name: the audit could not tell them apart")
		}
		if t.Secret == "" {
			found.Fail("admin.tokens", "one has no secret: write its place, env:NAME or file:PATH")
		} else if slices.Contains(secrets, t.Secret) {
			found.Fail("admin.tokens", "two have one secret: give each its own")
		}
		if len(t.Scopes) == 0 {
			found.Fail("admin.tokens", "one has no scopes: list some of read, act, submit")
		}
		for _, scope := range t.Scopes {
			found.oneOf("admin.tokens", scope, adminapi.Scopes())
		}
		names, secrets = append(names, t.Name), append(secrets, t.Secret)
	}
}

// ReadTokens looks up the secrets of the tokens, in their order. A secret that cannot be used is
// nil, and the error names its token and the remedy.
func (a Admin) ReadTokens(getenv func(string) (string, bool)) ([][]byte, error) {
	secrets, errs := make([][]byte, len(a.Tokens)), make([]error, len(a.Tokens))
	for i, t := range a.Tokens {
		if secrets[i], errs[i] = t.Secret.Require(getenv); errs[i] == nil {
			errs[i] = checkToken(secrets[i])
		}
	}
	twice := errors.New("another token has the same secret: give each its own")
	for i, secret := range secrets {
		for j := range i {
			if errs[i] == nil && bytes.Equal(secret, secrets[j]) {
				errs[i], errs[j] = twice, twice
			}
		}
	}
	for i, err := range errs {
		if err != nil {
			secrets[i], errs[i] = nil, fmt.Errorf("admin.tokens: token %s: %w", a.Tokens[i].Name, err)
		}
	}
	return secrets, errors.Join(errs...)
}

func checkToken(secret []byte) error {
	if len(secret) < adminapi.MinToken || len(secret) > adminapi.MaxToken {
		return fmt.Errorf("its secret has %d bytes: use %d to %d, such as those of openssl rand -hex 32", len(secret), adminapi.MinToken, adminapi.MaxToken)
	}
	if bytes.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("its secret has a space, or is not ASCII: a header cannot hold that, make one such as those of openssl rand -hex 32")
	}
	return nil
}
