package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChooseParts(t *testing.T) {
	all, err := chooseParts("")
	require.NoError(t, err)
	require.Len(t, all, len(parts()))
	some, err := chooseParts("drain,slow")
	require.NoError(t, err)
	require.Len(t, some, 2)
	require.Equal(t, "slow", some[0].name, "they run in the order of all parts")
	_, err = chooseParts("drain,nothing")
	require.ErrorContains(t, err, `no part "nothing"`)
}

func TestReport(t *testing.T) {
	f := finding{title: "Title", text: "Text.", head: []string{" way", "events/s"}}
	f.row("whole", "7")
	f.atLeast(spread{median: 2}, 2, 3, "at least 2", "2")
	f.under(spread{median: 2}, 2, "under 2", "2")
	r := results{rounds: 5, findings: []finding{f}}
	text := r.markdown()
	for _, want := range []string{
		"| at least 2 | 2 | yes | **no** |\n",
		"| under 2 | 2 | **no** |  |\n",
		"## Title\n\nText.\n\n| way|events/s|\n|---|---:|\n|whole|7|\n",
	} {
		require.Contains(t, text, want)
	}
	require.True(t, strings.HasSuffix(text, strings.TrimSpace(tried)+"\n"), "what was written by hand stays")
}
