package console

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTermsAreThoseOfTheSearch(t *testing.T) {
	t.Parallel()
	for q, want := range map[string][]string{
		"":                                 nil,
		"  a \t b ":                        {"a", "b"},
		`model:"a b" c`:                    {`model:"a b"`, "c"},
		`ref:"say \"x y\"" z`:              {`ref:"say \"x y\""`, "z"},
		`"open quote`:                      {`"open quote`},
		"consumer:a=dead expires<24h id:x": {"consumer:a=dead", "expires<24h", "id:x"},
	} {
		require.Equal(t, want, terms(q), q)
	}
}

func TestATermIsQuotedIfItMust(t *testing.T) {
	t.Parallel()
	require.Equal(t, "model:google/x", term("model", "google/x"))
	require.Equal(t, `model:"a \"b\" \\c"`, term("model", `a "b" \c`))
	require.Equal(t, `model:""`, term("model", ""))
}

// A shortcut replaces what says the same thing, and takes itself away.
func TestATermReplacesThatOfItsKey(t *testing.T) {
	t.Parallel()
	require.Equal(t, "status:failed", withTerm("", "status:failed"))
	require.Equal(t, "model:x status:failed", withTerm("status:completed model:x", "status:failed"))
	require.Equal(t, "model:x", withTerm("status:failed model:x", "status:failed"))
	require.Equal(t, "consumer:b=dead consumer:a=dead", withTerm("consumer:a=failing consumer:b=dead", "consumer:a=dead"))
	require.Equal(t, "pred_1 missing", withTerm("pred_1", "missing"))
}
