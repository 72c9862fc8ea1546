package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const fileSecretConfig = smallConfig + "sources: {get3w: {secrets: [file:secret]}}\n"

// put writes a file as careful programs do, by a name of its own.
func put(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// answers waits until a delivery gets the status.
func (p *program) answers(status int) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { got, _ := p.post(documented); return got == status }, patience, 50*time.Millisecond, p.logs)
}

func (p *program) logged(words string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.logs.String(), words) }, patience, 10*time.Millisecond, words)
}

// A mistyped secret is put right without a restart.
func TestSecretIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "secret", "mistyped")
	p := serve(t, dir, fileSecretConfig)
	status, _ := p.post(documented)
	require.Equal(t, 401, status)
	put(t, dir, "secret", secret+"\n")
	p.answers(200)
	require.Contains(t, p.logs.String(), `"sources_changed":["get3w"]`)
	_, text := p.admin("/metrics")
	require.Contains(t, text, `hookspan_config_reloads_total{result="success"} 1`)
	require.Contains(t, text, `hookspan_config_reloads_total{result="failure"} 0`)
	require.Contains(t, text, "hookspan_config_last_reload_successful 1\n")
	require.Regexp(t, `hookspan_config_last_reload_success_timestamp_seconds 1\.\d+e\+09`, text)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), secret)
	require.NotContains(t, p.logs.String(), "mistyped")
}

// Kubernetes changes a mounted secret by a link above it.
func TestSecretBehindALinkIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"v1": "old", "v2": secret} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		put(t, filepath.Join(dir, name), "secret", text)
	}
	link := func(version string) {
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "next")))
		require.NoError(t, os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")))
	}
	link("v1")
	require.NoError(t, os.Symlink("data/secret", filepath.Join(dir, "secret")))
	p := serve(t, dir, fileSecretConfig)
	status, _ := p.post(documented)
	require.Equal(t, 401, status)
	link("v2")
	p.answers(200)
}

// A signal has everything read at once, also what did not change.
func TestHangupReadsAgain(t *testing.T) {
	t.Parallel()
	p := serve(t, t.TempDir(), smallConfig)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
	p.logged(`"sources_changed":[]`)
	status, _ := p.post(documented)
	require.Equal(t, 200, status)
	require.Equal(t, 0, p.stop(), p.logs)
}

// Sources come, change and go; what cannot change is named.
func TestSourcesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "secret", secret)
	p := serve(t, dir, fileSecretConfig)
	p.answers(200)
	put(t, dir, "hookspan.yaml", strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "consumers: {archive: {kind: archive}}", 1)+`
log: {level: debug}
sources:
  get3w: {secrets: [file:secret], path_token: file:token}
  other: {secrets: [env:GET3W_WEBHOOK_SECRET]}
`)
	p.logged("cannot be used; what ran before goes on") // there is no file token
	p.answers(200)
	put(t, dir, "token", "t0k")
	p.logged(`"sources_changed":["get3w","other"]`)
	p.logged(`"keys":["log.level","consumers.archive"]`)
	p.answers(401) // the URL has no token
	p.ready.Webhooks["get3w"] += "/t0k"
	p.answers(200)
	p.ready.Webhooks["get3w"] = strings.Replace(p.ready.Webhooks["get3w"], "get3w/t0k", "other", 1)
	p.answers(200)

	put(t, dir, "hookspan.yaml", fileSecretConfig)
	p.answers(404)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), "t0k")
}

// A configuration that cannot be used changes nothing, and is logged once.
func TestBadReloadKeepsWhatRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "secret", secret)
	p := serve(t, dir, fileSecretConfig)
	for i, bad := range []struct {
		name         string
		breaks, mend func()
		want         string
	}{
		{"unknown key", func() { put(t, dir, "hookspan.yaml", "bogus: 1\n") }, func() { put(t, dir, "hookspan.yaml", fileSecretConfig) }, `hookspan.yaml:1:1: \"bogus\" is not a key here`},
		{"no config", func() { require.NoError(t, os.Remove(filepath.Join(dir, "hookspan.yaml"))) }, func() { put(t, dir, "hookspan.yaml", fileSecretConfig) }, "no such file"},
		{"empty config", func() { put(t, dir, "hookspan.yaml", "# nothing\n") }, func() { put(t, dir, "hookspan.yaml", fileSecretConfig) }, "names no source any more"},
		{"empty secret", func() { put(t, dir, "secret", "") }, func() { put(t, dir, "secret", secret) }, "had a secret and would have none"},
		{"no secret", func() { require.NoError(t, os.Remove(filepath.Join(dir, "secret"))) }, func() { put(t, dir, "secret", secret) }, "sources.get3w.secrets: reading a secret"},
	} {
		bad.breaks()
		p.logged(bad.want)
		status, _ := p.post(documented)
		require.Equal(t, 200, status, bad.name)
		bad.mend()
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
		require.Eventually(t, func() bool { return strings.Count(p.logs.String(), "the configuration was read again\"") == i+1 }, patience, 10*time.Millisecond, bad.name)
		require.Equal(t, i+1, strings.Count(p.logs.String(), "what ran before goes on"), "said once: %s", p.logs)
	}
	require.Equal(t, 0, p.stop(), p.logs)
}
