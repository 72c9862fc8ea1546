package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// The page of the manual has every verb, and every flag.
func TestManNamesEveryVerb(t *testing.T) {
	t.Parallel()
	code, page, stderr := runVerb("man")
	require.Zero(t, code, stderr)
	parser, err := kong.New(&cli{}, kong.Name("hookspan"))
	require.NoError(t, err)
	for _, verb := range parser.Model.Leaves(true) {
		_, section, found := strings.Cut(page, "\n.SS "+roff(verb.FullPath())+"\n")
		require.True(t, found, verb.FullPath())
		section, _, _ = strings.Cut(section, "\n.S")
		for _, flag := range verb.Flags {
			require.Equal(t, !flag.Hidden, strings.Contains(section, roff("--"+flag.Name)), "%s --%s", verb.FullPath(), flag.Name)
		}
	}
	for line := range strings.Lines(page) {
		require.Regexp(t, `^(\.(TH|SH|SS|TP|B|I)\b|[^.'])`, line)
	}
}
