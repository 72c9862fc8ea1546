package certificate

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.InfoLevel)
	dir := t.TempDir()
	certFile, keyFile := certificatetest.Issue(t, dir, 1)
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
	certificatetest.Issue(t, dir, 2)
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
	certificatetest.Issue(t, dir, 3)
	require.EqualValues(t, 2, serial(), "the files are not read at every handshake")

	_, err = Load("ingress.tls", certFile, filepath.Join(dir, "none"), zap.NewNop())
	require.ErrorContains(t, err, "check ingress.tls")
}
