package archive

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A try leaves nothing, and shows that a folder cannot be written.
func TestTry(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, Try(t.Context(), Config{Location: Location{Dir: dir}}))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, os.WriteFile(filepath.Join(dir, tryFolder), nil, 0o600))
	require.ErrorContains(t, Try(t.Context(), Config{Location: Location{Dir: dir}}), tryFolder)
	require.FileExists(t, filepath.Join(dir, tryFolder))
	require.Error(t, Try(t.Context(), Config{Location: Location{Dir: filepath.Join(dir, tryFolder)}}))
}

// In a bucket a try leaves nothing either, and shows that an object cannot be written.
func TestTryOfABucket(t *testing.T) {
	b := newBucket(t)
	cfg := Config{Location: b.location(t), AllowPrivate: true}
	require.NoError(t, Try(t.Context(), cfg))
	require.Contains(t, strings.Join(b.asked(), " "), "PUT")
	names, err := b.open(t).names(t.Context(), tryFolder)
	require.NoError(t, err)
	require.Empty(t, names)
	b.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	require.ErrorContains(t, Try(t.Context(), cfg), "403")
}
