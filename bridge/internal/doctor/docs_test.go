package doctor

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whoever reads a finding finds its check in the documents.
func TestDocsNameEveryCheck(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/doctor.md")
	require.NoError(t, err)
	for _, check := range AllChecks() {
		require.Contains(t, string(text), "`"+check+"`")
	}
}
