package fakeget3w

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/needs"
)

// The published client of the provider's family submits and gets its result.
func TestClientOfTheFamily(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	needs.Programs(t, "node", "npm")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "node"))))
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	require.NoError(t, err, "this test needs Node.js and npm (apt-get install nodejs npm), and their registry: %s", out)

	b := setup(t, func(c *Config) {
		c.Speed = 10
		c.Rules = []Rule{{Model: "fails/*", FailEvery: 1}}
	})
	run := exec.CommandContext(ctx, "node", "run.mjs", b.url, testKey)
	run.Dir, run.Stderr = dir, os.Stderr
	out, err = run.Output()
	require.NoError(t, err)
	var got struct {
		Polled, Sync []string
		Bytes        int
		Type         string
		Told         struct{ TaskID, Status, Model string }
		Failed       string
		FailedSync   string
		WrongKey     string
	}
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)

	all := b.Predictions()
	require.Len(t, all, 5)
	require.Len(t, got.Polled, 1)
	require.Equal(t, all[0].Outputs[0], aQuery.ReplaceAllString(got.Polled[0], ""))
	require.NotZero(t, all[0].Polls)
	require.Equal(t, DefaultOutputBytes, got.Bytes)
	require.Equal(t, "image/png", got.Type)
	require.Equal(t, []string{all[1].ID, "completed", "wavespeed-ai/z-image/turbo"}, []string{got.Told.TaskID, got.Told.Status, got.Told.Model})
	require.Equal(t, all[2].Outputs[0], aQuery.ReplaceAllString(got.Sync[0], ""))
	require.Zero(t, all[2].Polls)
	for i, message := range []string{got.Failed, got.FailedSync} {
		require.Equal(t, "Prediction failed (task_id: "+all[3+i].ID+"): "+failure, message)
	}
	require.Contains(t, got.WrongKey, "HTTP 401")
}
