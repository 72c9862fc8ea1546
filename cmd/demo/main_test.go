package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

// play runs the demo and returns what it leaves in its folder for temporary ones.
func play(ctx context.Context, t *testing.T, args ...string) (code int, stderr string, left []os.DirEntry) {
	t.Helper()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	return code, errs.String(), left
}

func TestWithoutABridge(t *testing.T) {
	code, stderr, left := play(t.Context(), t, "-hookspan", "no/such/program")
	require.Equal(t, rig.ExitWrong, code)
	require.Contains(t, stderr, "make build makes it")
	require.Empty(t, left)
}

// A program that ends at once, here the test itself, is not waited for.
func TestBridgeThatDoesNotStart(t *testing.T) {
	code, stderr, left := play(t.Context(), t, "-hookspan", os.Args[0])
	require.Equal(t, rig.ExitWrong, code)
	require.Contains(t, stderr, "flag provided but not defined: -json", "the end of its log")
	require.Contains(t, stderr, "waiting until bridge is ready")
	require.Len(t, left, 1, "the folder stays")
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, left := play(ctx, t, "-hookspan", os.Args[0])
	require.Equal(t, rig.ExitWrong, code)
	require.Empty(t, left)
}

func TestWrongUse(t *testing.T) {
	code, _, left := play(t.Context(), t, "-no-such-flag")
	require.Equal(t, rig.ExitUsage, code)
	require.Empty(t, left)
	code, stderr, _ := play(t.Context(), t, "-help")
	require.Equal(t, rig.ExitRight, code)
	require.Contains(t, stderr, "-hookspan")
}

func TestTable(t *testing.T) {
	want := testPlan(t).want()
	lines := func(got counts) []string {
		var b strings.Builder
		require.NoError(t, want.print(&b, got))
		return strings.Split(strings.TrimSpace(b.String()), "\n")
	}
	right := lines(want)
	require.Equal(t, "every count is right; 3 webhooks were lost at the provider, and their results are here all the same", right[len(right)-1])
	require.Empty(t, want.wrong(want))

	got := testPlan(t).want()
	got[bytesKept] -= 1000
	got[exitCode] = -1
	wrong := lines(got)
	require.Equal(t, "not right: exit code of the bridge on SIGTERM is -1 instead of 0; "+
		"bytes of outputs is 11,537,932 instead of 11,538,932", wrong[len(wrong)-1])
	require.Len(t, want.wrong(got), 2)
	for _, line := range right[:len(right)-2] {
		if strings.HasPrefix(line, "  ") {
			require.Regexp(t, `[0-9]  yes$`, line)
		}
	}
}

// Each count has one row: a wrong one can never go unseen.
func TestEveryCountMatters(t *testing.T) {
	rows := map[string]bool{}
	for _, part := range table {
		for _, what := range part.counts {
			require.False(t, rows[what], what)
			rows[what] = true
			require.Len(t, counts{}.wrong(counts{what: 1}), 1, what)
		}
	}
	for what := range testPlan(t).want() {
		require.True(t, rows[what], what)
	}
	require.Len(t, rows, 27)
}
