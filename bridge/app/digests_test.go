package app

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/internal/smallfile"
)

// A start can take long: what changes meanwhile is not taken for what was read.
func TestChangeDuringTheStartIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, "secret", "mistyped")
	path := filepath.Join(dir, "hookspan.yaml")
	put(t, dir, "hookspan.yaml", "sources: {get3w: {secrets: [file:"+filepath.Join(dir, "secret")+"]}}\n")
	r := reloaderOf(t, path)
	put(t, dir, "secret", sampleSecret)
	r.look()
	r.look()
	require.Equal(t, [][]byte{[]byte(sampleSecret)}, r.sources["get3w"].config.Secrets)
	require.NoError(t, os.Truncate(path, 0))
	r.look()
	r.look()
	require.Contains(t, r.sources, "get3w")
	require.InDelta(t, 1, testutil.ToFloat64(r.failed), 0)
}

// reloaderOf returns the reloader of a configuration that was just read.
func reloaderOf(t *testing.T, path string) *reloader {
	t.Helper()
	seen := digests{}
	seen.add(path)
	cfg, err := config.Load(path)
	require.NoError(t, err)
	seen.add(cfg.SecretFiles()...)
	noEnv := func(string) (string, bool) { return "", false }
	sources, err := resolveSources(cfg, noEnv)
	require.NoError(t, err)
	e := &env{cfg: cfg, getenv: noEnv, log: zap.NewNop(), metrics: prometheus.NewRegistry()}
	r, err := newReloader(e, Options{File: path}, sources, seen, &submitSources{providers: &providerSet{}})
	require.NoError(t, err)
	r.begun = func() func() { return func() {} }
	return r
}

// A pipe is neither emptied nor waited for.
func TestPipesAreLeftAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	first := digest(path)
	require.Equal(t, first, digest(path))
}

const sampleSecret = "a-secret-that-must-not-be-seen"

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

// A file that has become a pipe to which nobody writes holds up neither the reloads after it
// nor the end of the process.
func TestReloadDoesNotWaitForAPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"hookspan.yaml", "secret"} {
		put(t, dir, "secret", sampleSecret)
		put(t, dir, "hookspan.yaml", "sources: {get3w: {kind: get3w, secrets: [\"file:"+filepath.Join(dir, "secret")+"\"]}}\n")
		r := reloaderOf(t, filepath.Join(dir, "hookspan.yaml"))
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
		require.NoError(t, syscall.Mkfifo(filepath.Join(dir, name), 0o600))
		require.ErrorIs(t, r.try(), smallfile.ErrSilent, name)
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
	}
}
