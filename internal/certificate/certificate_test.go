package certificate

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
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// issue writes a self-signed certificate for 127.0.0.1 and its key.
func issue(t testing.TB, dir string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour),
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

func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	dir := t.TempDir()
	certFile, keyFile := issue(t, dir, 1)
	c, err := Load("ingress.tls", certFile, keyFile, zap.New(core))
	require.NoError(t, err)
	c.every = 0
	serial := func() int64 {
		pair, err := c.get(nil)
		require.NoError(t, err)
		return pair.Leaf.SerialNumber.Int64()
	}
	require.EqualValues(t, 1, serial())
	oldKey, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	issue(t, dir, 2)
	newKey, err := os.ReadFile(keyFile)
	require.NoError(t, err)

	require.NoError(t, os.WriteFile(keyFile, oldKey, 0o600)) // one file is new
	require.EqualValues(t, 1, serial())
	require.EqualValues(t, 1, serial())
	require.Equal(t, 1, logs.FilterMessageSnippet("cannot be used").Len(), "it is said once")
	require.NoError(t, os.Remove(keyFile))
	require.EqualValues(t, 1, serial())
	require.NoError(t, os.WriteFile(keyFile, newKey, 0o600))
	require.EqualValues(t, 2, serial())
	require.Equal(t, 1, logs.FilterMessageSnippet("read again").Len())

	c.every = time.Hour
	issue(t, dir, 3)
	require.EqualValues(t, 2, serial(), "the files are not read at every handshake")

	_, err = Load("ingress.tls", certFile, filepath.Join(dir, "none"), zap.NewNop())
	require.ErrorContains(t, err, "check ingress.tls")
}
