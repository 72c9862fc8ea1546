package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// play runs the demo and returns what it leaves in its folder for temporary ones.
func play(ctx context.Context, t *testing.T, args ...string) (code int, stdout, stderr string, left []os.DirEntry) {
	t.Helper()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out, errs bytes.Buffer
	code = run(ctx, args, os.Environ(), &out, &errs)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	return code, out.String(), errs.String(), left
}

func TestWithoutABridge(t *testing.T) {
	code, _, stderr, left := play(t.Context(), t, "-hookspan", "no/such/program")
	require.Equal(t, exitWrong, code)
	require.Contains(t, stderr, "build it first")
	require.Len(t, left, 1, "the folder stays")
}

// A program that ends at once, here the test itself, is not waited for.
func TestBridgeThatDoesNotStart(t *testing.T) {
	code, _, stderr, left := play(t.Context(), t, "-hookspan", os.Args[0])
	require.Equal(t, exitWrong, code)
	require.Contains(t, stderr, "flag provided but not defined: -json", "the end of its log")
	require.Contains(t, stderr, "waiting for the bridge to be ready")
	require.Len(t, left, 1, "the folder stays")
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, _, left := play(ctx, t, "-hookspan", os.Args[0])
	require.Equal(t, exitWrong, code)
	require.Empty(t, left)
}

func TestWrongUse(t *testing.T) {
	code, _, _, left := play(t.Context(), t, "-no-such-flag")
	require.Equal(t, exitUsage, code)
	require.Empty(t, left)
	code, _, stderr, _ := play(t.Context(), t, "-help")
	require.Equal(t, exitRight, code)
	require.Contains(t, stderr, "-hookspan")
}

func TestTable(t *testing.T) {
	want := testPlan(t).want()
	lines := func(got counts) []string {
		var b strings.Builder
		require.NoError(t, newTable(want, got).print(&b))
		return strings.Split(strings.TrimSpace(b.String()), "\n")
	}
	right := lines(want)
	require.Equal(t, "every count is right; 3 webhooks were lost at the provider, and their results are here all the same", right[len(right)-1])
	require.Empty(t, newTable(want, want).wrong())

	got := want
	got.disk.bytes -= 1000
	got.exit = -1
	wrong := lines(got)
	require.Equal(t, "not right: exit code of the bridge on SIGTERM is -1 instead of 0; "+
		"bytes of outputs is 11,537,932 instead of 11,538,932", wrong[len(wrong)-1])
	require.Len(t, newTable(want, got).wrong(), 2)
	for _, line := range right[:len(right)-2] {
		if strings.HasPrefix(line, "  ") {
			require.Regexp(t, `[0-9]  yes$`, line)
		}
	}
}

// Each count has a row: a wrong one can never go unseen.
func TestEveryCountMatters(t *testing.T) {
	var want counts
	for i, change := range []func(c *counts){
		func(c *counts) { c.answers.sent++ },
		func(c *counts) { c.answers.stored++ },
		func(c *counts) { c.answers.duplicate++ },
		func(c *counts) { c.answers.unauthorized++ },
		func(c *counts) { c.answers.quarantined++ },
		func(c *counts) { c.withheld.quarantined++ },
		func(c *counts) { c.withheld.refused++ },
		func(c *counts) { c.withheld.explained++ },
		func(c *counts) { c.stream.events++ },
		func(c *counts) { c.stream.completed++ },
		func(c *counts) { c.stream.failed++ },
		func(c *counts) { c.stream.repeated++ },
		func(c *counts) { c.stream.intact++ },
		func(c *counts) { c.exit++ },
		func(c *counts) { c.disk.manifests++ },
		func(c *counts) { c.disk.bodies++ },
		func(c *counts) { c.disk.outputs++ },
		func(c *counts) { c.disk.bytes++ },
		func(c *counts) { c.disk.checksums++ },
		func(c *counts) { c.disk.late++ },
		func(c *counts) { c.disk.gone++ },
		func(c *counts) { c.disk.strays++ },
		func(c *counts) { c.lost.announced++ },
		func(c *counts) { c.lost.webhooks++ },
		func(c *counts) { c.stream.polled++ },
		func(c *counts) { c.lost.askedOnce++ },
		func(c *counts) { c.disk.lost++ },
	} {
		got := want
		change(&got)
		require.Len(t, newTable(want, got).wrong(), 1, "count %d", i)
	}
}
