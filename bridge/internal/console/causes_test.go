package console

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The console has words for each cause that the operations page lists, and for no other.
func TestCausesOfTheOperationsPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/operations.md")
	require.NoError(t, err)
	for heading, known := range map[string]map[string]cause{
		"## Deliveries that did not become an event": keptCauses, "## Dead letters": deadCauses,
	} {
		_, section, ok := strings.Cut(string(text), heading+"\n")
		require.True(t, ok, heading)
		_, table, ok := strings.Cut(section, "\n| cause |")
		require.True(t, ok, heading)
		table, _, _ = strings.Cut(table, "\n\n")
		listed := map[string]bool{}
		for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]+)").FindAllStringSubmatch(table, -1) {
			for _, token := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(row[1], -1) {
				listed[token[1]] = true
				require.NotEmpty(t, known[token[1]].Words, token[1])
				require.NotEmpty(t, known[token[1]].Do, token[1])
			}
		}
		require.NotEmpty(t, listed)
		for token := range known {
			require.True(t, listed[token] || token == "unreadable", token)
		}
	}
}
