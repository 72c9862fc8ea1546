package signing

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	body, secret, other := []byte(`{"id":"pred_1"}`), []byte("a secret"), []byte("another")
	good := Sign(body, secret)
	require.Len(t, good, Length)
	require.True(t, Verify(good, body, secret))
	require.True(t, Verify(good, body, other, secret), "one of several secrets is enough")
	require.True(t, Verify(strings.ToUpper(good), body, secret))
	for name, is := range map[string]bool{
		"no secrets":         Verify(good, body),
		"another secret":     Verify(good, body, other),
		"another body":       Verify(good, append(body, ' '), secret),
		"half a signature":   Verify(good[:Length/2], body, secret),
		"no signature":       Verify("", body, secret),
		"not hexadecimal":    Verify(strings.Repeat("z", Length), body, secret),
		"something in front": Verify("sha256="+good, body, secret),
	} {
		require.False(t, is, name)
	}
}

// The value is the one of other implementations.
func TestSign(t *testing.T) {
	t.Parallel()
	require.Equal(t, "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
		Sign([]byte("The quick brown fox jumps over the lazy dog"), []byte("key")))
}
