package console

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// A body is shown with its lines as long as these are not many times the body.
func TestBodyOfBrackets(t *testing.T) {
	t.Parallel()
	for text, lines := range map[string]bool{
		`{"a":[1,{"b":"],[\"{"}],"c":{}}`:                           true,
		strings.Repeat("[", 100) + strings.Repeat("]", 100):         true,
		strings.Repeat("[", 9000) + strings.Repeat("]", 9000):       false,
		strings.Repeat("[", 64<<10):                                 false,
		`{"id":"x","extra":"` + strings.Repeat("[{,", 1<<20) + `"}`: true,
	} {
		b := newBody(adminapi.Content{Body: &text})
		require.Equal(t, lines, strings.Contains(b.Text, "\n"), "%.40s", text)
		require.LessOrEqual(t, len(b.Text), maxBody)
		require.LessOrEqual(t, len(indented([]byte(text))), maxIndented+len(text))
	}
}
