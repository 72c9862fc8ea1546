package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := certificatetest.Issue(t, dir, 1)
	p := serve(t, dir, `
ingress: {listen: "127.0.0.1:0", tls: {cert: `+cert+`, key: `+key+`}, trusted_proxies: [127.0.0.1], max_connections_per_address: 5, rate_per_address: 50/s}
nats: {listen: "", events: {max_bytes: 64MiB}}
consumers: {archive: {enabled: false}}
`)
	require.Regexp(t, `^https://127\.0\.0\.1:`, p.url())
	code, stdout, stderr := runVerb("send", "--url", p.url(), "--ca", cert)
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "200 OK")
	code, _, stderr = runVerb("send", "--url", p.url())
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "unknown authority")
	code, _, stderr = runVerb("send", "--url", p.url(), "--ca", key)
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "holds no certificate")
	require.Equal(t, 0, p.stop(), p.logs)
}
