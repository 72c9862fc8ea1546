package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/internal/natstest"
)

// A bridge that is started in a folder with a configuration is never one with the default
// configuration, and says which it has.
func TestServeTakesTheConfigurationOfItsFolder(t *testing.T) {
	for _, name := range ownFiles {
		dir := t.TempDir()
		file := filepath.Join(dir, name)
		put(t, dir, name, smallConfig+"sources: {mine: {kind: get3w, secrets: [env:GET3W_WEBHOOK_SECRET]}}\n")
		p := start(t, dir, command(t, dir, "--json", "serve"))
		require.Equal(t, file, p.ready.Config)
		require.Contains(t, p.ready.Webhooks, "mine")
		require.Contains(t, p.logs.String(), "configured by "+file)
		holder, err := app.ReadHolder(p.ready.DataDir)
		require.NoError(t, err)
		require.Equal(t, file, holder.Config)
		require.Equal(t, exitDone, p.stop())
	}
}

// provision changes the streams that the configuration of the folder names.
func TestProvisionTakesTheConfigurationOfItsFolder(t *testing.T) {
	x := natstest.NewExternal(t, nil)
	x.Start()
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", externalConfig(x))
	code, _, stderr := verbOfAProcess(t, dir, nil, "provision")
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stderr, "configured by "+filepath.Join(dir, "hookspan.yaml"))
	_, err := x.JetStream().Stream(t.Context(), "HOOKSPAN_EVENTS")
	require.NoError(t, err)
	require.NoDirExists(t, filepath.Join(dir, "hookspan-data", "nats"))
}

func TestVerbsOfAConfigurationTakeThatOfTheFolder(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "hookspan.yaml", "log: {level: warn}\n")
	code, stdout, stderr := verbIn(t, dir, nil, "config", "check", "--no-secrets")
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, "hookspan.yaml can be used")
	code, stdout, stderr = verbIn(t, dir, nil, "config", "show")
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, "level: warn  # hookspan.yaml:1")
	code, stdout, _ = verbIn(t, t.TempDir(), nil, "config", "check", "--no-secrets")
	require.Equal(t, exitDone, code)
	require.Contains(t, stdout, "the default configuration can be used")

	// One that cannot be read is no reason to take the default one, and of two none is meant.
	require.NoError(t, os.Remove(filepath.Join(dir, "hookspan.yaml")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "hookspan.yaml")))
	for _, verb := range []string{"serve", "provision", "config check", "config show"} {
		code, _, stderr = verbIn(t, dir, nil, strings.Fields(verb)...)
		require.Equal(t, exitFailed, code, verb)
		require.Contains(t, stderr, "reading the configuration", verb)
	}
	put(t, dir, "hookspan.yml", "")
	for _, verb := range []string{"serve", "provision", "config check", "config show"} {
		code, _, stderr = verbIn(t, dir, nil, strings.Fields(verb)...)
		require.Equal(t, exitUsage, code, verb)
		require.Contains(t, stderr, "this folder has hookspan.yaml and hookspan.yml: say with --config which of them is meant", verb)
		code, _, stderr = verbIn(t, dir, []string{"HOOKSPAN_CONFIG=hookspan.yml"}, "config", "check", "--no-secrets")
		require.Equal(t, exitDone, code, stderr)
	}
}

// send posts to the bridge of the folder, wherever that listens.
func TestSendPostsToTheBridgeOfTheFolder(t *testing.T) {
	p := serve(t, t.TempDir(), smallConfig)
	code, stdout, stderr := verbIn(t, p.dir, []string{"GET3W_WEBHOOK_SECRET=" + secret}, "send", "--id", "pred_here")
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, "stored")
	require.Contains(t, p.says("events", "list"), "pred_here")
	require.Equal(t, exitDone, p.stop())
	code, _, stderr = verbIn(t, p.dir, []string{"GET3W_WEBHOOK_SECRET=" + secret}, "send")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "the bridge of this folder does not run: ")
	require.Contains(t, stderr, "or name another bridge with --url")
	put(t, p.dir, "apart.yaml", smallConfig+"roles: [consumers]\ndata_dir: "+filepath.Join(p.dir, "apart")+"\n")
	apart := start(t, p.dir, command(t, p.dir, "--json", "serve", "--config", "apart.yaml"))
	code, _, stderr = verbIn(t, p.dir, []string{"GET3W_WEBHOOK_SECRET=" + secret}, "send", "--config", "apart.yaml")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "say with --url where to post")
	require.Equal(t, exitDone, apart.stop())
}

// nats-env in a data folder knows the pull consumers of the bridge that has it.
func TestDataFolderTellsTheConfigurationOfItsBridge(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "other.yaml", strings.Replace(smallConfig, "consumers: {", "consumers: {team: {kind: pull}, ", 1))
	p := start(t, dir, command(t, dir, "--json", "serve", "--config", "other.yaml"))
	code, stdout, stderr := verbIn(t, p.ready.DataDir, nil, "nats-env", "--consumer", "team")
	require.Equal(t, exitDone, code, stderr)
	require.Contains(t, stdout, "NATS_USER=")
	require.Equal(t, exitDone, p.stop())
}
