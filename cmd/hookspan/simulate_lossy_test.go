package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/simulate"
)

// lossy makes the forwarder settle the events of prediction 3 without storing them.
const (
	forwarding = "\t\tr := &b.records[i]\n\t\tif receipt, found := f.receiptOf(r); found {\n"
	lossy      = "\t\tr := &b.records[i]\n" +
		"\t\tif id := r.Header[\"ce-subject\"]; len(id) == 1 && len(id[0]) > 6 && id[0][len(id[0])-6:] == \"000003\" {\n\t\t\tb.settled[i] = true\n\t\t\tcontinue\n\t\t}\n" +
		"\t\tif receipt, found := f.receiptOf(r); found {\n"
)

// buildLossy builds the whole program from the tree, but for the forwarder, which loses an event.
func buildLossy(t *testing.T, program string) {
	t.Helper()
	source, err := filepath.Abs(filepath.Join("..", "..", "bridge", "internal", "stream", "forwardattempt.go"))
	require.NoError(t, err)
	text, err := os.ReadFile(source)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), forwarding))
	dir := t.TempDir()
	put(t, dir, "forwardattempt.go", strings.Replace(string(text), forwarding, lossy, 1))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: filepath.Join(dir, "forwardattempt.go")}})
	require.NoError(t, err)
	put(t, dir, "overlay.json", string(overlay))
	built, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", built)
}

// A build whose forwarder loses an event that was acknowledged is found out, by itself.
func TestSimulateNamesWhatABrokenBuildLost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "lossy")
	buildLossy(t, program)
	put(t, dir, "hookspan.yaml", smallConfig)
	broken := func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GET3W_WEBHOOK_SECRET="+secret)
		return cmd
	}
	p := start(t, dir, broken("--json", "serve", "--config", "hookspan.yaml"))
	var out bytes.Buffer
	cmd := broken("--json", "simulate", "--config", "hookspan.yaml", "--count", "20", "--rate", "1000", "--status", "completed", "--wait", "2s")
	cmd.Stdout, cmd.Stderr = &out, p.logs
	require.Error(t, cmd.Run())
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), p.logs)
	var r simulate.Report
	require.NoError(t, json.Unmarshal(out.Bytes(), &r), out.String())
	require.Equal(t, []int{20, 20, 19, 1}, []int{r.Sent, r.Acknowledged, r.Stored, r.Lost}, "%+v", r)
	require.Len(t, r.Wrong, 1)
	require.Regexp(t, "^"+r.Run+"000003 was acknowledged as event "+r.Run+"000003/completed/[0-9a-f]{16}, and is not in the stream$", r.Wrong[0])
	require.Equal(t, 0, p.stop(), p.logs)
}
