package main

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hookspan/hookspan/cmd/internal/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"-only", "nothing"}, {"-events", "0"}, {"-only", "upgrade"}, {"-nonsense"}} {
		var out, complaint bytes.Buffer
		require.Equal(t, rig.ExitUsage, run(t.Context(), args, true, &out, &complaint), args)
		require.NotEmpty(t, complaint.String())
	}
}

// A binary that is not there, or no bridge at all, is a missed bar.
func TestWithoutBridge(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // the folder of a missed bar stays
	var out, complaint bytes.Buffer
	require.Equal(t, rig.ExitWrong, run(t.Context(), []string{"-hookspan", filepath.Join(t.TempDir(), "none")}, true, &out, &complaint))
	require.Equal(t, rig.ExitWrong, run(t.Context(), []string{"-hookspan", "/bin/true", "-only", "kill-9", "-events", "1"}, true, &out, &complaint))
	require.Contains(t, out.String(), "WRONG")
}

func TestFaultsAreNamedOnce(t *testing.T) {
	names := map[string]bool{}
	for _, f := range faults {
		require.False(t, names[f.name], f.name)
		require.NotEmpty(t, f.about)
		require.NotNil(t, f.run)
		names[f.name] = true
	}
}
