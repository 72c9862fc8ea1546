package printable_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/printable"
)

func TestSentences(t *testing.T) {
	t.Parallel()
	for foreign, want := range map[string]string{
		"":                  "it failed. See why",
		"no":                "it failed: no. See why",
		"no.":               "it failed: no. See why",
		"is it there?":      "it failed: is it there? See why",
		"stop!":             "it failed: stop! See why",
		"cut off…":          "it failed: cut off… See why",
		`it said "no."`:     `it failed: it said "no." See why`,
		"no (really?)":      "it failed: no (really?). See why",
		"one\ntwo.\n\r\n":   "it failed: one; two. See why",
		"one!\ntwo":         "it failed: one! two. See why",
		"no, \n":            "it failed: no. See why",
		"見つかりません。":          "it failed: 見つかりません。 See why",
		"no: ":              "it failed: no. See why",
		"v1.2":              "it failed: v1.2. See why",
		"wait; then retry;": "it failed: wait; then retry. See why",
	} {
		require.Equal(t, want, printable.Sentences("it failed: "+foreign, "See why"), "%q", foreign)
	}
	require.Empty(t, printable.Sentences())
	require.Empty(t, printable.Sentences("", "\n"))
	require.Equal(t, "a. B! C", printable.Sentences("a", "", "B!", "C"))
}

// marks are marks in a row, which must not occur.
var marks = regexp.MustCompile(`[.?!:;,…]\s*[.;:,]|\n|^\s*[.;:,]`)

func FuzzSentences(f *testing.F) {
	f.Add("is this source of another kind?")
	f.Add("Invalid key.\n")
	f.Add("0!\n0")
	f.Fuzz(func(t *testing.T, foreign string) {
		got := printable.Sentences("it failed: because "+foreign, "See why")
		require.True(t, strings.HasSuffix(got, " See why"))
		lines := strings.FieldsFunc(foreign, func(r rune) bool { return r == '\n' || r == '\r' })
		if slices.ContainsFunc(lines, marks.MatchString) {
			return // the text says it itself
		}
		require.False(t, marks.MatchString(got), "%q", got)
	})
}
