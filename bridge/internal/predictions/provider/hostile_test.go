package provider

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// zeros is 8 MiB of zeros, compressed to 8 KiB.
func zeros(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	for range 8 {
		_, err := w.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// The client does not request compression and does not decompress.
func TestCompressedAnswerIsNotUnpacked(t *testing.T) {
	t.Parallel()
	bomb := zeros(t)
	a := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb)
	})
	c := client(t, a.URL, nil)
	_, err := c.result(t, "a")
	require.ErrorContains(t, err, "cannot be read")
	_, err = c.submit(t)
	require.ErrorIs(t, err, ErrUnknownOutcome)
	for _, r := range a.requests {
		require.Empty(t, r.Header.Get("Accept-Encoding"))
	}
}

// raw writes first, then again until the client leaves.
func raw(first, again string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, err = conn.Write([]byte(first))
		for err == nil && again != "" {
			_, err = conn.Write([]byte(again))
		}
	}
}

// Endless answers are cut off.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	for name, answer := range map[string]http.HandlerFunc{
		"header":        raw(ok, "X-Header: "+strings.Repeat("x", 1000)+"\r\n"),
		"one header":    raw(ok+"X-Header: ", strings.Repeat("x", 1000)),
		"status line":   raw("HTTP/1.1 200 ", strings.Repeat("x", 1000)),
		"informational": raw("", "HTTP/1.1 103 Early Hints\r\nX-Header: "+strings.Repeat("x", 100)+"\r\n\r\n"),
		"chunk header":  raw(ok+"Transfer-Encoding: chunked\r\n\r\n1;", strings.Repeat("x", 1000)),
		"chunks":        raw(ok+"Transfer-Encoding: chunked\r\n\r\n", "400\r\n"+strings.Repeat(" ", 1<<10)+"\r\n"),
		"trailer":       raw(ok+"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2\r\n{}\r\n0\r\n", "X: "+strings.Repeat("x", 1000)+"\r\n"),
		"bad chunks":    raw(ok+"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n", ""),
		"refusal":       raw("HTTP/1.1 500 Oh\r\n\r\n", strings.Repeat("x", 1000)),
		"two lengths":   raw(ok+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", ""),
		"HTTP/2":        raw("\x00\x00\x00\x04\x00\x00\x00\x00\x00", ""),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, serve(t, answer).URL, func(cfg *Config) { cfg.Timeout = patience }).result(t, "a")
			require.Error(t, err)
			require.NotErrorIs(t, err, ErrNoPrediction)
		})
	}
}

// Bytes behind one answer do not answer the next request.
func TestAnswerToNoRequest(t *testing.T) {
	t.Parallel()
	body := func(id string) string { return fmt.Sprintf(`{"id":%q,"status":"completed"}`, id) }
	one := func(id string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body(id)), body(id))
	}
	a := serve(t, raw(one("a")+one("b"), ""))
	c := client(t, a.URL, func(cfg *Config) { cfg.HeaderTimeout = time.Second })
	for range 3 {
		got, err := c.result(t, "a")
		require.NoError(t, err)
		require.JSONEq(t, body("a"), string(got))
	}
	require.Equal(t, 3, a.seen())
}

// No deadline of the request bounds a switched connection, so it is closed.
func TestSwitchedConnectionIsLeft(t *testing.T) {
	t.Parallel()
	left := make(chan struct{}, 3)
	switches := func(media string) *Client {
		return client(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close(); left <- struct{}{} }()
			_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Type: " + media + "\r\n\r\n"))
			_, _ = conn.Read(make([]byte, 1)) // until the client leaves
		}).URL, func(cfg *Config) { cfg.Timeout = time.Second })
	}
	_, err := switches(mediaJSON).result(t, "a")
	require.ErrorContains(t, err, "it answered 101")
	for _, media := range []string{mediaJSON, mediaStream} {
		_, err = switches(media).submit(t)
		require.ErrorIs(t, err, ErrUnknownOutcome)
		require.ErrorContains(t, err, "it answered 101")
	}
	for range 3 {
		<-left
	}
}
