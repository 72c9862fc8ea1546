package ingress

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

// encrypted starts a server with TLS and a client that trusts it.
func encrypted(t testing.TB, cfg Config) (*bench, *http.Transport) {
	t.Helper()
	cfg.TLSCert, cfg.TLSKey = certificatetest.Issue(t, t.TempDir(), 1)
	b := start(t, cfg)
	return b, trusting(t, cfg.TLSCert)
}

func trusting(t testing.TB, cert string) *http.Transport {
	t.Helper()
	text, err := os.ReadFile(cert)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestTLS(t *testing.T) {
	t.Parallel()
	b, client := encrypted(t, Config{})
	require.Equal(t, 200, deliver(t, client, b, "one").status)

	_, err := tls.Dial("tcp", b.Addr().String(), &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, InsecureSkipVerify: true})
	require.ErrorContains(t, err, "protocol version")
	conn := dial(t, b)
	text := body("plain")
	send(t, conn, raw(t, text, len(text)))
	require.Equal(t, 400, answerOn(t, conn).status)
	silent := dial(t, b) // gives its place back without a handshake
	b.opened(t, 2)
	require.NoError(t, silent.Close())
	b.opened(t, 1)
	require.Len(t, b.pub.published(), 1)
}

// Failed handshakes do not fill the log.
func TestFailedHandshakesAreQuiet(t *testing.T) {
	t.Parallel()
	b, client := encrypted(t, Config{})
	for range 5 * linesAtOnce {
		conn := dial(t, b)
		send(t, conn, "this is no TLS at all\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn) // until the server gives up
	}
	res, err := client.RoundTrip(request(t, b.url+"/webhooks/get3w", body("pred_1")))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 200, res.StatusCode)
	lines := b.logs.FilterMessageSnippet("TLS handshake error").Len()
	require.NotZero(t, lines)
	require.Less(t, lines, 4*linesAtOnce)
}
