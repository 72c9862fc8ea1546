package e2e

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxPage bounds a page with all that it loads, as it travels, in bytes.
const maxPage = 60_000

var assets = regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`)

// Every page travels light: with its styles, scripts and icon, without pictures of a bridge.
func TestPagesAreSmall(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	s.fill()
	for _, v := range views { // what comes then is a page of its own
		size := s.size(v.path(s))
		loaded := map[string]bool{}
		for _, found := range assets.FindAllStringSubmatch(s.plain(v.path(s)), -1) {
			if path := found[1]; !loaded[path] {
				loaded[path] = true
				size += s.size(path)
			}
		}
		require.Greater(t, len(loaded), 3, v.name)
		require.LessOrEqual(t, size, maxPage, v.name)
	}
}

// size is how much an answer is as it travels.
func (s *site) size(path string) int { return len(s.get(path, "gzip")) }

func (s *site) plain(path string) string { return string(s.get(path, "identity")) }

func (s *site) get(path, encoding string) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+path, http.NoBody)
	require.NoError(s.t, err)
	req.Header.Set("Accept-Encoding", encoding)
	res, err := s.client.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return text
}
