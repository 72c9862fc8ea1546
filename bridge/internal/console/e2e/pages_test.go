package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/console"
	"github.com/hookspan/hookspan/internal/needs"
)

// screenshots is the folder of the pictures of all pages, below the root of the module.
const screenshots = "../../../../.screenshots"

// view is one state of a page.
type view struct {
	// name is that of its pictures.
	name string
	// pattern is the page's, see [console.Patterns].
	pattern string
	// path returns where it is on a filled site.
	path func(s *site) string
	// status is that of its answer; 0 is 200.
	status int64
}

func fixed(path string) func(*site) string { return func(*site) string { return path } }

// views are what every test of all pages looks at. Each page of the console is in one of them.
var views = []view{
	{name: "now", pattern: "/{$}", path: fixed("/")},
	{name: "sign-in", pattern: "/sign-in", path: fixed("/sign-in?next=%2Fdead")},
	{name: "missing", pattern: "/", path: fixed("/no/such/page"), status: 404},
}

// A page that no test looks at may be broken.
func TestEveryPageIsLookedAt(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, v := range views {
		seen[v.pattern] = true
	}
	require.Equal(t, console.Patterns(), slices.Sorted(maps.Keys(seen)), "write a page that is new into the table of views")
}

// Every page can be used by everybody, in both schemes, on a desk and on a telephone.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	axe := installAxe(t)
	s := start(t, "")
	s.fill()
	require.NoError(t, os.MkdirAll(screenshots, 0o755))
	b := newTab(t, s.url)
	var found []string
	for _, v := range views {
		for _, scheme := range []string{"light", "dark"} {
			for _, width := range []int64{1280, 360} {
				b.look(scheme, width)
				require.Equal(t, max(v.status, 200), b.open(v.path(s)), v.name)
				name := fmt.Sprintf("%s-%s-%d", v.name, scheme, width)
				picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644))
				for _, violation := range b.violations(axe) {
					found = append(found, name+": "+violation)
				}
				if wide := value[int64](b, `document.documentElement.scrollWidth`); wide > width {
					found = append(found, fmt.Sprintf("%s: it is %d wide, and scrolls sideways", name, wide))
				}
			}
		}
	}
	require.Empty(t, found)
}

// installAxe returns the text of axe-core, which nobody but this test needs.
func installAxe(t *testing.T) string {
	t.Helper()
	needs.Programs(t, "npm")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "node"))))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	require.NoError(t, err, "this test needs npm (apt-get install npm), and its registry: %s", out)
	text, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err)
	return string(text)
}

// violations runs axe beside the page's own scripts, where the page's policy does not reach.
func (b *tab) violations(axe string) []string {
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
	result := run(`axe.run(document, {resultTypes: ['violations', 'incomplete']}).then((r) => JSON.stringify(r.violations))`)
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
