package console

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// The files of others are those that VENDORED.md names.
func TestVendoredFiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("VENDORED.md")
	require.NoError(t, err)
	listed := map[string]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\S+\.\w+) \|.*\| ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(string(text), -1) {
		listed[row[1]] = row[2]
	}
	files, err := filepath.Glob("static/*.js")
	require.NoError(t, err)
	require.Len(t, listed, len(files)-1)
	for _, file := range files {
		name := filepath.Base(file)
		if name == "app.js" {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		sum := sha256.Sum256(text)
		require.Equal(t, listed[name], hex.EncodeToString(sum[:]), name)
	}
}

// What the console adds to a page stays small.
func TestOwnFilesAreSmall(t *testing.T) {
	t.Parallel()
	style, err := os.ReadFile("static/app.css")
	require.NoError(t, err)
	require.LessOrEqual(t, len(style), 25_000)
	script, err := os.ReadFile("static/app.js")
	require.NoError(t, err)
	require.LessOrEqual(t, bytes.Count(script, []byte("\n")), 200)
}

// Pages and static files are compressed for browsers that can read that.
func TestCompressed(t *testing.T) {
	t.Parallel()
	c, _ := answering(t, refusing(http.StatusNotFound, ""))
	for _, path := range []string{"/", "/sign-in", asset("app.css"), asset("app.js"), asset("htmx.js")} {
		plain, packed := asking(t, c, http.MethodGet, path), asking(t, c, http.MethodGet, path, "Accept-Encoding", "gzip")
		require.Empty(t, plain.Header().Get("Content-Encoding"))
		require.Equal(t, "gzip", packed.Header().Get("Content-Encoding"), path)
		require.Contains(t, packed.Header().Get("Vary"), "Accept-Encoding")
		unpacked, err := gzip.NewReader(packed.Body)
		require.NoError(t, err)
		text, err := io.ReadAll(unpacked)
		require.NoError(t, err)
		require.Equal(t, plain.Body.String(), string(text))
	}
}
