package archive

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/consumers"
)

func TestStatuses(t *testing.T) {
	t.Parallel()
	for status, final := range map[int]bool{
		403: true, 404: true, 410: true,
		204: false, 206: false, 300: false, 304: false, 400: false, 401: false, 408: false, 425: false, 429: false, 500: false, 502: false, 503: false,
	} {
		srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/bad" {
				w.WriteHeader(status)
			}
		})
		b := setup(t, nil)
		err := b.handle(newEvent("p", srv.URL+"/bad", srv.URL+"/good"))
		require.ErrorContains(t, err, "output 0: ")
		require.ErrorContains(t, err, fmt.Sprint("127.0.0.1 answered ", status))
		require.Equal(t, final, consumers.IsPermanent(err), status)
		dir := folder(b.dir, "p")
		require.FileExists(t, filepath.Join(dir, "1.bin"), "the others are stored first")
		if final {
			require.NotEmpty(t, readManifest(t, dir).Outputs[0].Error)
		} else {
			require.NoFileExists(t, filepath.Join(dir, manifestName))
		}
	}
}

// One output that may still come keeps the event from being given up.
func TestPassingFaultWins(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", r.URL.Query().Get("after"))
		w.WriteHeader(map[string]int{"/gone": 404, "/busy": 429, "/down": 503, "/broken": 500}[r.URL.Path])
	})
	b := setup(t, nil)
	err := b.handle(newEvent("p", srv.URL+"/gone", srv.URL+"/busy?after=7", srv.URL+"/down?after=9", srv.URL+"/broken?after=60"))
	require.False(t, consumers.IsPermanent(err))
	require.ErrorContains(t, err, "4 of 4 outputs failed: output 0: gone: 127.0.0.1 answered 404; output 1: 127.0.0.1 answered 429; output 2: 127.0.0.1 answered 503; and 1 more")
	require.Equal(t, consumers.RetryAfter(errors.Unwrap(err), 9*time.Second), err)
	require.NoFileExists(t, filepath.Join(folder(b.dir, "p"), manifestName))
}

// brokenServer answers with what is not a whole body.
func brokenServer(w http.ResponseWriter, r *http.Request) {
	const length, part = 1 << 20, 1 << 19
	switch r.URL.Path {
	case "/short":
		w.Header().Set("Content-Length", fmt.Sprint(length))
		_, _ = w.Write(make([]byte, part))
	case "/cut":
		_, _ = w.Write(make([]byte, part))
		_ = http.NewResponseController(w).Flush() // chunked from here
		panic(http.ErrAbortHandler)
	case "/nothing":
		panic(http.ErrAbortHandler)
	case "/silent":
		<-r.Context().Done()
	case "/stalled":
		_, _ = w.Write(make([]byte, part))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case "/endless":
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			_ = http.NewResponseController(w).Flush()
		}
	case "/garbage":
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nyou asked for %s\r\n\r\n", r.URL)
			_ = conn.Close()
		}
	case "/header":
		w.Header().Set("X", strings.Repeat("x", maxHeader))
	}
}

func TestBrokenBodies(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/short":   "unexpected EOF",
		"/cut":     "unexpected EOF",
		"/nothing": "EOF",
		"/silent":  "timeout awaiting response headers",
		"/stalled": errStalled.Error(),
		"/garbage": "malformed MIME header",
		"/header":  "response headers exceeded",
	} {
		srv := serve(t, brokenServer)
		b := setup(t, func(c *Config) { c.Stall = 100 * time.Millisecond })
		err := b.handle(newEvent("p", srv.URL+path))
		require.ErrorContains(t, err, want, path)
		require.ErrorContains(t, err, "output 0: downloading from 127.0.0.1: ")
		require.False(t, consumers.IsPermanent(err))
		require.Equal(t, []string{eventName, signatureName}, names(t, folder(b.dir, "p")), path)
	}
}

// An answer that is not HTTP is repeated, but cut, or the manifest of many outputs would be too
// large to be read again.
func TestLongNonsenseIsCut(t *testing.T) {
	t.Parallel()
	srv := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", strings.Repeat("nonsense ", maxHeader/10))
			_ = conn.Close()
		}
	})
	b := setup(t, nil)
	err := b.handle(newEvent("p", srv.URL))
	require.ErrorContains(t, err, "malformed MIME header: missing colon: \"nonsense nonsense")
	require.Less(t, len(err.Error()), 2*maxFault)
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	srv := serve(t, brokenServer)
	b := setup(t, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	require.ErrorIs(t, b.handle(newEvent("p", srv.URL+"/endless")), errSlow)
	require.Equal(t, []string{eventName, signatureName}, names(t, folder(b.dir, "p")))
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	srv := refusing(t)
	srv.Close()
	b := setup(t, nil)
	require.ErrorContains(t, b.handle(newEvent("p", srv.URL)), "connection refused")
}

func TestLimit(t *testing.T) {
	t.Parallel()
	const limit = 1 << 20
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/told":
			w.Header().Set("Content-Length", fmt.Sprint(limit+1))
			_ = http.NewResponseController(w).Flush() // the body is not needed to know
			<-r.Context().Done()
		case "/untold":
			_ = http.NewResponseController(w).Flush()
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 1000))
			}
		case "/just":
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(make([]byte, limit))
		}
	})
	b := setup(t, func(c *Config) { c.MaxOutput = limit })
	err := b.handle(newEvent("p", srv.URL+"/told", srv.URL+"/untold", srv.URL+"/just"))
	require.True(t, consumers.IsPermanent(err))
	dir := folder(b.dir, "p")
	require.Equal(t, []string{"2.bin", eventName, signatureName, manifestName}, names(t, dir))
	m := readManifest(t, dir)
	require.Contains(t, m.Outputs[0].Error, "larger than 1048576 bytes")
	require.Contains(t, m.Outputs[1].Error, "larger than 1048576 bytes")
	require.EqualValues(t, limit, m.Outputs[2].Bytes)
}

func TestSummary(t *testing.T) {
	t.Parallel()
	gone, failed := &fault{short: "gone (404)"}, &fault{short: "failed"}
	require.Equal(t, "0 outputs, 0 B", summary(nil, nil))
	require.Equal(t, "1 output, 999 B", summary([]manifestOutput{{Bytes: 999}}, nil))
	require.Equal(t, "3 outputs, 12 MB", summary([]manifestOutput{{Bytes: 12_000_000}, {Bytes: 400_000}, {}}, nil))
	require.Equal(t, "2 of 3 outputs, 1 gone (404)", summary(make([]manifestOutput, 3), []*fault{gone}))
	require.Equal(t, "0 of 3 outputs, 1 failed, 2 gone (404)", summary(make([]manifestOutput, 3), []*fault{gone, failed, gone}))
	require.Equal(t, "9.2 EB", humanBytes(1<<63-1))
}
