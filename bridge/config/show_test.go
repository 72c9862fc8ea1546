package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is shown is the configuration in use: read again it is the same, but for what is cut.
func TestSettingsAreTheConfiguration(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "",
		"much": `
roles: [ingress, admin]
data_dir: /var/lib/on
log: {level: debug}
ingress: {listen: ":0", max_body: 1000001, deadline: 1500ms, trusted_proxies: [10.0.0.0/8, "::1"], rate_per_address: 100/h, ack: quorum}
journal: {max_bytes: 3GiB}
admin: {listen: "", hosts: [no], tokens: [{name: a, scopes: [read, act], secret: "file:/a b"}, {name: b, scopes: [submit], secret: env:B}]}
nats: {url: "nats://a:4222,nats://b:4222", user: "yes", password: env:P, replicas: "3", events: {max_age: 336h1m}}
sources: {one: {secrets: [env:A], query: [ref], api: {key: env:K, rate: 90/m}}, two: {max_age: 90s}}
consumers:
  archive: {start: new, retry: {first: 2s}}
  mine: {kind: pull, filter: {status: completed, model: "google/*"}}
`,
	} {
		path := write(t, text)
		cfg, doc, err := LoadDocument(path)
		require.NoError(t, err, name)
		shown := Text(doc.Settings(cfg), "x.yaml")
		again, err := Load(write(t, shown))
		require.NoError(t, err, shown)
		require.Empty(t, slicesWithout(Differences("", *cfg, *again), "admin.listen", "nats.listen"), shown) // a default there may become another port
		for line := range strings.Lines(shown) {
			require.Regexp(t, `:\n$|  # (default|x\.yaml:\d+)\n$`, line)
		}
	}
}

func slicesWithout(list []string, without ...string) (out []string) {
	for _, one := range list {
		if !strings.Contains(strings.Join(without, " "), one) && !strings.HasSuffix(one, ".enabled") {
			out = append(out, one)
		}
	}
	return out
}

func TestSettingsSayWhereFromAndShowNoSecret(t *testing.T) {
	t.Parallel()
	cfg, doc, err := LoadDocument(write(t, `ingress:
  deadline: 7s
consumers:
  post: {kind: forward, url: "https://svc.example.com:8443/hooks/TOKEN?key=TOKEN", secret: env:S}
  run: {kind: exec, command: [/bin/true, --token, TOKEN]}
`))
	require.NoError(t, err)
	settings := doc.Settings(cfg)
	shown := Text(settings, "x.yaml")
	require.NotContains(t, shown, "TOKEN")
	for _, line := range []string{
		"  deadline: 7s  # x.yaml:2\n", "  listen: \":8080\"  # default\n", "    url: \"https://svc.example.com:8443/…\"  # x.yaml:4\n",
		"    command: [/bin/true, \"…\"]  # x.yaml:5\n", "    secret: \"env:S\"  # x.yaml:4\n", "    store: ", "    timeout: 2m  # default\n", "  max_body: 4MiB  # default\n",
		"  listen: \"127.0.0.1:8081\"  # default\n",
	} {
		if line == "    store: " {
			require.NotContains(t, shown, line, "an empty key is left out")
			continue
		}
		require.Contains(t, shown, line)
	}
	require.Contains(t, settings, Setting{Key: "ingress.deadline", Value: "7s", Line: 2})
	require.Contains(t, settings, Setting{Key: "roles", Value: []any{"ingress", "consumers", "reconciler", "admin"}})
}
