package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Every problem of a file is told at once, those of consumers that cannot be decoded too.
func TestEveryProblemIsTold(t *testing.T) {
	t.Parallel()
	_, err := Load(write(t, `
log: {level: x}
ingress: {trusted_proxies: [x, y]}
nats: {url: "nats://a,http://b,nats://u:p@c"}
consumers:
  a: {kind: bogus}
  b: {kind: pull, store: x, concurrency: 3}
  c: {kind: archive, parallel: -1}
  d: {kind: forward, url: "https://x.example", secret: env:S, allow_networks: [x, y]}
`))
	for _, want := range []string{
		"log.level", `trusted_proxies: "x"`, `trusted_proxies: "y"`, "write addresses", "credentials do not belong here",
		"consumers.a.kind: use archive", "consumers.b.store: a consumer of kind pull has no such key",
		"consumers.b.concurrency: a consumer of kind pull has no such key", "consumers.c.parallel", `allow_networks: "x"`, `allow_networks: "y"`,
	} {
		require.ErrorContains(t, err, want)
	}
}

// What is switched off is as if the file did not name it.
func TestDisabledConsumerOfAnotherKind(t *testing.T) {
	t.Parallel()
	cfg, err := Load(write(t, "consumers: {archive: {enabled: false}, a: {kind: pull, enabled: false, concurrency: 3}, b: {kind: bogus, enabled: false}}\n"))
	require.NoError(t, err)
	require.Empty(t, cfg.Consumers)
	_, err = Load(write(t, "consumers: {a: {kind: pull, enabled: false, nonsense: 3}}\n"))
	require.ErrorContains(t, err, `"nonsense" is not a key here`)
}
