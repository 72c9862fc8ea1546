package config

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	cfg, err := Load(write(t, "admin: {tokens: [{name: oncall, scopes: [read, act], secret: env:A}, {name: app, scopes: [submit], secret: file:/b}], tls: {cert: /c, key: /k}}\n"))
	require.NoError(t, err)
	require.Equal(t, []Token{
		{Name: "oncall", Scopes: []string{"read", "act"}, Secret: "env:A"}, {Name: "app", Scopes: []string{"submit"}, Secret: "file:/b"},
	}, cfg.Admin.Tokens)
	require.Equal(t, Certificate{Cert: "/c", Key: "/k"}, cfg.Admin.TLS)
	require.Equal(t, []string{"/b"}, cfg.SecretFiles())
	cfg.Roles = []string{RoleConsumers}
	require.Empty(t, cfg.SecretFiles())

	many := strings.Repeat(", {name: a, scopes: [read], secret: env:A}", maxTokens)
	for text, want := range map[string]string{
		"{name: a, scopes: [read], secret: env:A}, {name: a, scopes: [read], secret: env:B}": "one name",
		"{name: a, scopes: [read], secret: env:A}, {name: b, scopes: [read], secret: env:A}": "one secret",
		"{name: loopback, scopes: [read], secret: env:A}":                                    "another name",
		"{name: " + sampleSecret + "/, scopes: [read], secret: env:A}":                       "the name of one cannot be used",
		"{scopes: [read], secret: env:A}":                                                    "the name of one cannot be used",
		"{name: a, scopes: [read]}":                                                          "one has no secret",
		"{name: a, scopes: [read], secret: " + sampleSecret + "}":                            "a secret is not written here",
		"{name: a, scopes: [], secret: env:A}":                                               "list some of read, act, submit",
		"{name: a, secret: env:A}":                                                           "list some of read, act, submit",
		"{name: a, scopes: [read, " + sampleSecret + "], secret: env:A}":                     "use read, act or submit",
		"{name: a, scopes: [read], secret: env:A, hash: b}":                                  `"hash" is not a key here`,
		"{name: a, scopes: [read], secret: env:A}" + many:                                    "use at most 64",
	} {
		_, err := Load(write(t, "admin: {tokens: ["+text+"]}\n"))
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), sampleSecret, text)
	}
	_, err = Load(write(t, "admin: {tls: {cert: /c}}\n"))
	require.ErrorContains(t, err, "admin.tls: cert and key come together")
}

// A secret that cannot be used is none, and leaves the others alone.
func TestSecretsOfTokens(t *testing.T) {
	t.Parallel()
	const good = "0123456789abcdef"
	for value, want := range map[string]string{
		"":                                       "empty or not set",
		"0123456789abcde":                        "has 15 bytes",
		strings.Repeat("x", adminapi.MaxToken+1): "use 16 to 512",
		"0123456789 abcdef":                      "not ASCII",
		"0123456789abcdé":                        "not ASCII",
		"0123456789abc\xff\xfe\x01":              "not ASCII",
		"0123456789abcdef\n":                     "line break",
		"Bearer 0123456789abcdef":                "remove that word",
		good:                                     "another token has the same secret",
	} {
		env := map[string]string{"A": good, "B": value, "C": good + "-"}
		getenv := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
		a := Admin{Tokens: []Token{{Name: "one", Secret: "env:A"}, {Name: "two", Secret: "env:B"}, {Name: "three", Secret: "env:C"}}}
		secrets, err := a.ReadTokens(getenv)
		require.ErrorContains(t, err, want, value)
		require.ErrorContains(t, err, "admin.tokens: token two: ")
		if value != "" {
			require.NotContains(t, err.Error(), value)
		}
		require.Nil(t, secrets[1])
		require.Equal(t, good+"-", string(secrets[2]))
		require.Equal(t, value == good, secrets[0] == nil, "of two that are equal none can be meant")

		env["B"] = string(bytes.Repeat([]byte("~"), adminapi.MaxToken))
		secrets, err = a.ReadTokens(getenv)
		require.NoError(t, err)
		require.Len(t, secrets[1], adminapi.MaxToken)
	}
}
