package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/certificate/certificatetest"
)

// The check of a container finds the bridge as other verbs do, needs no token, and is one line.
func TestHealth(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "token", oncall)
	cert, key := certificatetest.Issue(t, dir, 1)
	p := serve(t, dir, strings.Replace(tokenConfig("127.0.0.1:0"), "tokens:", "tls: {cert: "+cert+", key: "+key+"}, tokens:", 1))
	for _, args := range [][]string{{"health"}, {"health", "--config", "hookspan.yaml"}} {
		code, stdout, stderr := verbIn(t, dir, nil, args...)
		require.Equal(t, 0, code, stderr)
		require.Equal(t, "ready\n", stdout)
	}
	code, stdout, _ := verbIn(t, dir, nil, "health", "--live")
	require.Equal(t, 0, code)
	require.Equal(t, "live\n", stdout)
	code, stdout, _ = verbIn(t, dir, nil, "health", "--json")
	require.Equal(t, 0, code)
	require.JSONEq(t, `{"ready": true, "reasons": []}`, stdout)
	code, _, stderr := verbIn(t, dir, nil, "health", "--api", p.ready.Admin)
	require.Equal(t, 1, code, "the certificate of an address that is named is checked")
	require.Contains(t, stderr, "certificate")
	require.Equal(t, 0, p.stop(), p.logs)
	code, _, stderr = verbIn(t, dir, nil, "health")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "the bridge is not well: the bridge of this folder does not run")
	require.Equal(t, 1, strings.Count(stderr, "\n"))
}

// Whatever does not answer as a bridge that is ready does is not well.
func TestHealthOfWhatIsNotWell(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		live   string
		ready  string
	}{
		"not ready": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/livez" {
				_, _ = w.Write([]byte("ok\n"))
				return
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"ready":false,"reasons":["nothing can be stored","shutting down"]}`))
		}, "live", "not ready: nothing can be stored; shutting down"},
		"another server": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "not as a bridge does", "not as a bridge does"},
		"an empty one":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) }, "not as a bridge does", "not as a bridge does"},
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(`{"detail":"add the name to admin.hosts"}`))
		}, "add the name to admin.hosts", "add the name to admin.hosts"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) }, "302", "302"},
		"hangs":     {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within 1s", "no answer within 1s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(c.answer)
			defer s.Close()
			for flag, words := range map[string]string{"--live": c.live, "--no-live": c.ready} {
				timeout := patience
				if name == "hangs" {
					timeout = time.Second
				}
				args := []string{"health", "--api", s.URL, "--timeout", timeout.String()}
				if flag == "--live" {
					args = append(args, flag)
				}
				code, stdout, stderr := runVerb(args...)
				require.Equal(t, map[bool]int{true: 0, false: 1}[words == "live"], code, stdout+stderr)
				require.Contains(t, stdout+stderr, words)
				require.Equal(t, 1, strings.Count(stdout+stderr, "\n"), "one line")
			}
		})
	}
	code, _, stderr := runVerb("health", "--api", "http://127.0.0.1:1")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "refused")
	code, _, _ = runVerb("health", "--timeout", "0s")
	require.Equal(t, 2, code)
}
