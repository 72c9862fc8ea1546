package console

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSentences(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "failed": "Failed", "a file was written": "A file was written", "the sender's secret": "The sender's secret",
		"deliveries: none": "Deliveries: none", "7 events wait": "7 events wait", "Repair it.": "Repair it.",
		"hookspan dead list shows why": "hookspan dead list shows why", "docs/operations.md says more": "docs/operations.md says more",
		"sources.get3w.api has no key": "sources.get3w.api has no key", "http://127.0.0.1 answered": "http://127.0.0.1 answered", "max_bytes is too small": "max_bytes is too small",
	} {
		require.Equal(t, want, sentence(text))
	}
}

// A person copies what stands there, so options stay as they are.
func TestOptionsAreNotBroken(t *testing.T) {
	t.Parallel()
	require.Equal(t, []phrase{{Text: "Give it with hookspan dead redrive "}, {"--seq", true}, {Text: " 1 "}, {"--yes", true}, {Text: "."}},
		prose("give it with hookspan dead redrive --seq 1 --yes."))
	require.Equal(t, []phrase{{Text: "it-\\u202e"}}, prose("it-\u202e"))
}
