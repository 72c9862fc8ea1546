package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/needs"
)

// installAxe returns the text of axe-core, which nobody but this test needs.
func installAxe(t *testing.T) string {
	t.Helper()
	needs.Programs(t, "npm")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "node"))))
	ctx, cancel := bounded(context.Background(), t)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	require.NoError(t, err, "this test needs npm (apt-get install npm), and its registry: %s", out)
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err)
	return string(text)
}

// examiner puts axe beside the scripts of the page, where the policy of the page does not reach, and
// returns what finds the faults of the page as it is then.
func (b *tab) examiner(axe string) (violations func() []string) {
	b.t.Helper()
	tree := call(b, page.GetFrameTree, struct{}{})
	world := call(b, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: tree.FrameTree.Frame.ID, WorldName: "axe"})
	run := func(expression string) *runtime.RemoteObject {
		yes := true
		got := call(b, runtime.Evaluate, runtime.EvaluateParams{Expression: expression, ContextID: world.ExecutionContextID, ReturnByValue: &yes, AwaitPromise: &yes})
		require.Nil(b.t, got.ExceptionDetails, "%+v", got.ExceptionDetails)
		return got.Result
	}
	run(axe + "; null")
	return func() []string {
		result := run(`axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations))`)
		return b.faultsOf(result)
	}
}

// faultsOf reads what axe found, one text for each element.
func (b *tab) faultsOf(result *runtime.RemoteObject) []string {
	b.t.Helper()
	var text string
	require.NoError(b.t, json.Unmarshal(result.Value, &text))
	var found []struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	}
	require.NoError(b.t, json.Unmarshal([]byte(text), &found))
	var all []string
	for _, v := range found {
		for _, n := range v.Nodes {
			all = append(all, strings.Join([]string{v.ID, v.Help, n.HTML, n.Summary}, "\n"))
		}
	}
	return all
}
