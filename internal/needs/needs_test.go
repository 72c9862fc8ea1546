package needs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A skipped test is listed, and in CI it is not skipped.
func TestSkippedTestsAreListed(t *testing.T) {
	list := filepath.Join(t.TempDir(), "skipped")
	t.Setenv(listFile, list)
	for ci, want := range map[string]string{"": "TestSkippedTestsAreListed/CI_is_: this test needs no-such-program\n", "true": ""} {
		t.Run("CI is "+ci, func(t *testing.T) {
			t.Setenv("CI", ci)
			require.NoError(t, os.WriteFile(list, nil, 0o600))
			t.Cleanup(func() {
				require.Equal(t, want == "", !t.Skipped()) //nolint:forbidigo // it asks
				text, err := os.ReadFile(list)
				require.NoError(t, err)
				require.Equal(t, want, string(text))
			})
			Programs(t, "go", "no-such-program")
		})
	}
}
