package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// issue writes a certificate for 127.0.0.1 that signs itself, and its key.
func issue(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	return cert, key
}

func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := issue(t, dir)
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
