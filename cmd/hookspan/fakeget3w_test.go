package main

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/fakeget3w"
)

// A bridge with the configuration that the fake provider prints takes its webhooks
// and archives its outputs.
func TestFakeProvider(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fake := command(t, dir, "fake-get3w", "--listen", "127.0.0.1:0", "--duration", "10ms", "--output-bytes", "1234", "--seed", "7")
	fake.Env = append(fake.Env, "GET3W_API_KEY=key-of-the-test")
	stdout, err := fake.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, fake.Start())
	t.Cleanup(func() { _ = fake.Process.Kill() })
	in := bufio.NewScanner(stdout)
	var text strings.Builder
	for in.Scan() {
		text.WriteString(in.Text() + "\n")
		if strings.Contains(in.Text(), "archive:") {
			break
		}
	}
	require.Contains(t, text.String(), "seed 7")
	require.NotContains(t, text.String(), "more than this machine")
	p := serve(t, dir, text.String()+`
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0", events: {max_bytes: 64MiB}}
`)
	cfg, err := config.Load(filepath.Join(dir, "hookspan.yaml"))
	require.NoError(t, err)
	api := cfg.Sources["get3w"].API
	require.EqualValues(t, "env:GET3W_API_KEY", api.Key)

	submit := func(key string) (status int, id string) {
		req, err := http.NewRequest(http.MethodPost, api.BaseURL+"/get3w/flux-dev", strings.NewReader(`{"webhook_url":"`+p.url()+`"}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+key)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		var answer struct{ Data struct{ ID string } }
		require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
		return res.StatusCode, answer.Data.ID
	}
	status, _ := submit("wrong")
	require.Equal(t, http.StatusUnauthorized, status)
	status, id := submit("key-of-the-test")
	require.Equal(t, http.StatusOK, status)
	var manifest []string
	require.Eventually(t, func() bool {
		manifest, _ = filepath.Glob(filepath.Join(dir, "hookspan-data", "archive", "get3w", "*", "*", "*", id, "manifest.json"))
		return len(manifest) == 1
	}, patience, 10*time.Millisecond, p.logs)
	info, err := os.Stat(filepath.Join(filepath.Dir(manifest[0]), "0.png"))
	require.NoError(t, err)
	require.EqualValues(t, 1234, info.Size())

	require.NoError(t, fake.Process.Signal(syscall.SIGINT))
	require.True(t, in.Scan())
	// The answer to the webhook may be on its way still.
	require.Regexp(t, `^# 1 submitted: 1 completed, 0 failed\. Webhooks: [01] delivered, 0 abandoned, 0 dropped\. 0 polls, 1 downloads\.$`, in.Text())
	require.False(t, in.Scan())
	require.NoError(t, fake.Wait())
}

func TestFakeProviderInJSON(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &safeBuffer{}
	code := make(chan int, 1)
	getenv := func(name string) (string, bool) {
		value, ok := map[string]string{"GET3W_WEBHOOK_SECRET": secret}[name]
		return value, ok
	}
	go func() {
		code <- run([]string{"--json", "fake-get3w", "--listen", "127.0.0.1:0"}, &env{ctx: ctx, getenv: getenv, stdout: out, stderr: out})
	}()
	require.Eventually(t, func() bool { return strings.HasSuffix(out.String(), "\n") }, patience, 10*time.Millisecond)
	var r fakeReady
	require.NoError(t, json.Unmarshal([]byte(out.String()), &r))
	require.True(t, r.AnyKey)
	require.NotZero(t, r.Seed)
	require.Equal(t, r.URL+"/api/v3", r.BaseURL)
	cancel()
	require.Equal(t, exitDone, <-code)
	var totals fakeget3w.Totals
	require.NoError(t, json.Unmarshal([]byte(strings.SplitAfterN(out.String(), "\n", 2)[1]), &totals))
	require.Zero(t, totals)
}

func TestFakeProviderRefusesToStart(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"speed is -1":              {"--speed=-1"},
		"a share is negative":      {"--drop-every=-1"},
		"--listen":                 {"--listen=here"},
		"reading a secret":         {"--key=file:/nowhere"},
		"env:NONE is empty":        {"--secret=env:NONE"},
		"write one such as 4MiB":   {"--output-bytes=much"},
		"output life is -1h0m0s":   {"--output-life=-1h"},
		"a secret is not written ": {"--key=abc"},
	} {
		code, _, stderr := runVerb(append([]string{"fake-get3w", "--listen=127.0.0.1:0"}, args...)...)
		require.NotZero(t, code)
		require.Contains(t, stderr, want)
	}
}
