package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestForwardConfig(t *testing.T) {
	t.Parallel()
	cfg, err := Load(write(t, "consumers: {a: {kind: forward, url: \"https://x.example/hooks\", secret: env:A}}\n"))
	require.NoError(t, err)
	a := cfg.Consumers["a"].(*Forward)
	require.Equal(t, 8, a.Concurrency)
	require.Equal(t, Duration(30*time.Second), a.Timeout)
	require.Equal(t, "new", a.Start)
	refs, key := a.Signing()
	require.Equal(t, []SecretRef{"env:A"}, refs)
	require.Equal(t, "secret", key)

	cfg, err = Load(write(t, `
consumers:
  a:
    kind: forward
    url: http://10.1.2.3:8080/hooks
    mode: structured
    secrets: [file:/a, env:B]
    refuse: [400, 404]
    timeout: 1m
    connect_timeout: 2s
    header_timeout: 10s
    allow_networks: [10.0.0.0/8, 192.0.2.7]
`))
	require.NoError(t, err)
	a = cfg.Consumers["a"].(*Forward)
	refs, key = a.Signing()
	require.Equal(t, []SecretRef{"file:/a", "env:B"}, refs)
	require.Equal(t, "secrets", key)
	require.Equal(t, []string{"/a"}, cfg.SecretFiles())
	require.Equal(t, []int{400, 404}, a.Refuse)
	require.Equal(t, Duration(time.Minute), a.Timeout)
	cfg.Roles = []string{RoleIngress}
	require.Empty(t, cfg.SecretFiles(), "without consumers it is of no use")
}

func TestForwardConfigErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, keys, want string }{
		{"unknown key", "bogus: 1", `"bogus" is not a key here`},
		{"key of another kind", "store: file:///x", `consumers.a.store: a consumer of kind forward has no such key`},
		{"no url", "url: \"\"", `consumers.a.url: it is empty`},
		{"no address", "url: x.example/hidden", `consumers.a.url: this is no address`},
		{"scheme", "url: \"ftp://x.example/hidden\"", `consumers.a.url: this is no address`},
		{"password", "url: \"https://me:hidden@x.example\"", `consumers.a.url: user and password do not belong here`},
		{"http", "url: \"http://x.example/hidden\"", `consumers.a.url: http is permitted into private networks only`},
		{"no secret", "secret: \"\"", `a secret is not written here`},
		{"secret as it is", "secret: whsec_hidden", `a secret is not written here`},
		{"two of them", "secrets: [env:B]", `consumers.a.secrets: use either secret or secrets`},
		{"mode", "mode: batch", `consumers.a.mode: use binary or structured`},
		{"refuse", "refuse: [200]", `consumers.a.refuse: 200 is no status code that can refuse`},
		{"network", "allow_networks: [office]", `consumers.a.allow_networks: "office" is no network`},
		{"timeout", "connect_timeout: -1s", `consumers.a.connect_timeout: it is -1s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := "consumers:\n  a:\n    kind: forward\n    " + c.keys + "\n"
			for _, key := range []string{`url: "https://x.example"`, "secret: env:A"} {
				if name, _, _ := strings.Cut(key, ":"); !strings.HasPrefix(c.keys, name+":") {
					text += "    " + key + "\n"
				}
			}
			_, err := Load(write(t, text))
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "\n", "one line")
			require.Contains(t, err.Error(), "hookspan.yaml:")
			require.NotContains(t, err.Error(), "hidden")
		})
	}
	_, err := Load(write(t, "consumers: {a: {kind: forward, url: \"https://x.example\"}}\n"))
	require.ErrorContains(t, err, "consumers.a.secret: requests are signed")
	_, err = Load(write(t, "consumers: {a: {kind: archive, secret: env:A}}\n"))
	require.ErrorContains(t, err, "a consumer of kind archive has no such key")
}
