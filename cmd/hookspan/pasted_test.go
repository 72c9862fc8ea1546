package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Wherever a secret is named in the configuration, one that was pasted wrongly ends the
// start with the key and a hint. An API key does not, since webhooks are taken without it.
func TestPastedSecretOfEveryKey(t *testing.T) {
	const forward = "consumers:\n  billing:\n    kind: forward\n    url: https://billing.example\n"
	const source = "sources:\n  get3w:\n    secrets: [env:GET3W_WEBHOOK_SECRET]\n"
	free := strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}", "", 1)
	for key, config := range map[string]string{
		"sources.get3w.secrets":     free + "sources:\n  get3w:\n    secrets: [file:pasted]\n",
		"sources.get3w.path_token":  free + source + "    path_token: file:pasted\n",
		"consumers.billing.secret":  free + forward + "    secret: file:pasted\n",
		"consumers.billing.secrets": free + forward + "    secrets: [file:pasted]\n",
		"nats.password":             "ingress: {listen: \"127.0.0.1:0\"}\nadmin: {listen: \"127.0.0.1:0\"}\nnats: {url: \"nats://127.0.0.1:1\", user: a, password: file:pasted}\n",
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "pasted"), []byte(`"`+secret+`"`), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "hookspan.yaml"), []byte(config), 0o600))
		cmd := command(t, dir, "serve", "--config", "hookspan.yaml")
		var log safeBuffer
		cmd.Stdout, cmd.Stderr = &log, &log
		require.NoError(t, cmd.Start())
		late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // it has begun to serve
		require.Error(t, cmd.Wait(), key)
		late.Stop()
		out := log.String()
		require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), key)
		require.Contains(t, out, key+": the secret file:pasted cannot be used: it stands in quotes: remove them", key)
		require.NotContains(t, out, secret, key)
	}

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pasted"), []byte("Bearer "+secret), 0o600))
	p := serve(t, dir, smallConfig+source+"    api: {key: file:pasted}\n")
	require.Contains(t, p.logs.String(), "NO API KEY")
	require.Contains(t, p.logs.String(), "the secret file:pasted cannot be used: it begins with Bearer: remove that word")
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), secret)
}
