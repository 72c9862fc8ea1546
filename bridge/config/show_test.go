package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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
		cfg, doc, err := LoadDocument(path, Flags{})
		require.NoError(t, err, name)
		shown := Text(doc.Settings(cfg), "x.yaml")
		again, document, err := LoadDocument(write(t, shown), Flags{})
		require.NoError(t, err, shown)
		require.Equal(t, values(doc.Settings(cfg)), values(document.Settings(again)), shown)
		require.Empty(t, differing(Differences("", *cfg, *again)), shown)
		for line := range strings.Lines(shown) {
			require.Regexp(t, `:\n$|  # (default|x\.yaml:\d+)\n$`, line)
		}
	}
}

func values(settings []Setting) map[string]any {
	out := map[string]any{}
	for _, s := range settings {
		out[s.Key] = s.Value
	}
	return out
}

// differing leaves out the keys whose default other packages fill, and a default address, which may
// become another port.
func differing(keys []string) []string {
	return slices.DeleteFunc(keys, func(key string) bool {
		return slices.ContainsFunc([]string{".retry.", ".filter.", ".enabled", ".parallel", "admin.listen", "nats.listen"}, func(part string) bool { return strings.Contains(key, part) })
	})
}

func TestSettingsSayWhereFromAndShowNoSecret(t *testing.T) {
	t.Parallel()
	cfg, doc, err := LoadDocument(write(t, `ingress:
  deadline: 7s
consumers:
  post: {kind: forward, url: "https://svc.example.com:8443/hooks/TOKEN?key=TOKEN", secret: env:S}
  run: {kind: exec, command: [/bin/true, --token, TOKEN]}
`), Flags{})
	require.NoError(t, err)
	settings := doc.Settings(cfg)
	shown := Text(settings, "x.yaml")
	require.NotContains(t, shown, "TOKEN")
	for _, line := range []string{
		"  deadline: 7s  # x.yaml:2\n", "  listen: \":8080\"  # default\n", "    url: \"https://svc.example.com:8443/…\"  # x.yaml:4\n",
		"    command: [/bin/true, \"…\"]  # x.yaml:5\n", "    secret: \"env:S\"  # x.yaml:4\n", "    store: ", "    timeout: 2m  # default\n", "    refuse: [400, 413, 422]  # default\n", "    connect_timeout: 5s  # default\n", "      first: 1s  # default\n", "      status: [completed, failed]  # default\n", "  max_body: 4MiB  # default\n",
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

// Whatever a value is, it is read again as that value.
func FuzzSettingsAreReadAgain(f *testing.F) {
	for _, text := range []string{"a", "on", "~", "null", "1", "0xA", "0o7", "1e3", "1_0", ".inf", "2026-01-31", "1:30", "- a", "a: b", "a #b", "[", "{", "*a", "&a", "!a", "|", ">", "%", "@", "`", "'", `"`, `\`, "a\nb", "<é😀>", "\u2028", " a ", "…"} {
		f.Add(text)
	}
	cfg, doc, err := LoadDocument("", Flags{})
	require.NoError(f, err)
	cfg.NATS.URL, cfg.NATS.Password, cfg.Ingress.Ack = "nats://a:4222", "env:P", AckQuorum
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" || !utf8.ValidString(text) || strings.Contains(text, "\u007f") {
			return
		}
		changed := *cfg
		changed.NATS.User, changed.DataDir = text, "/x"
		path := filepath.Join(t.TempDir(), "x.yaml")
		require.NoError(t, os.WriteFile(path, []byte(Text(doc.Settings(&changed), "x.yaml")), 0o600))
		again, err := Load(path)
		require.NoError(t, err)
		require.Equal(t, text, again.NATS.User)
	})
}
