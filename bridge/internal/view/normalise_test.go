package view

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestNormalise(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                            "",
		"no such customer":            "no such customer",
		"no such customer 4711":       "no such customer #",
		"customer cus_9s6XKzkNRiz8i3": "customer cus_#",
		"status 503, attempt 2 of 4":  "status #, attempt # of #",
		"took 1m30.5s, at most 30s, 800ms, 404times": "took #, at most #, #, #times",
		"x509: certificate has expired or is not yet valid: current time 2026-01-31T15:04:05Z is after 2025-12-31T00:00:00Z": "x#: certificate has expired or is not yet valid: current time # is after #",
		`Post "https://billing.internal/hooks?token=abc": dial tcp 10.0.0.1:443: connect: connection refused`:                "Post #: dial tcp #: connect: connection refused",
		"GET https://cdn.get3w.com/a/b.png?sig=secret&x=1 failed":                                                            "GET https://cdn.#.com/a/b.png?# failed",
		"is that so? yes": "is that so? yes",
		"id 550e8400-e29b-41d4-a716-446655440000 is unknown": "id # is unknown",
		"id 550E8400-abcd-abcd-abcd-446655440000":            "id #",
		"at 0xdeadbeef, hash deadbeefcafe, 0xff":             "at #, hash #, #",
		"prediction pred_01hx7k2mq9 and req-8f3a2c":          "prediction pred_# and req-#",
		"don't, it can't": "don't, it can't",
		"the model 'a/b' and `c` and “d” are 'not o'clock' ones": "the model # and # and # are # ones",
		`cut off "in the midd`:           "cut off #",
		`"c\"d" e`:                       `# e`,
		"an 'open one":                   "an 'open one",
		"10 20, 30:40-50":                "# #, #",
		"a\n\tb\x00\x1b[31mred\u202e c":  "a b [#mred c",
		"<script>alert(1)</script>":      "<script>alert(#)</script>",
		"\xff\xfe":                       "\ufffd",
		"日本語 ٣٤ エラー":                     "日本語 # エラー",
		"abcdefghij12 abcdefghijklmnop1": "abcdefghij# #",
		"5'abc' x":                       "#'abc' x",
	} {
		require.Equal(t, want, normalise(text), "%q", text)
	}
	long := normalise("failed: " + strings.Repeat("é", 1<<20))
	require.True(t, strings.HasPrefix(long, "failed: éé"))
	require.LessOrEqual(t, len(long), maxNormalised)
	require.Equal(t, "#", normalise(strings.Repeat("9", 1<<20)))
}

func FuzzNormalise(f *testing.F) {
	for _, seed := range []string{
		"", "status 503", `Post "https://a/b?c=d": x`, "x5.5s 'a' b'c'd' 550e8400-e29b-41d4-a716-446655440000", "1'2'3'4'5'6'7'8'9' ' '", "://?'?'`\"", "#.#_a1#", "\xff\x00\u202e",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := normalise(text)
		require.Equal(t, once, normalise(once))
		require.LessOrEqual(t, len(once), maxNormalised)
		require.True(t, utf8.ValidString(once))
		for _, r := range once {
			require.True(t, unicode.IsPrint(r), "%q", once)
			require.False(t, unicode.IsDigit(r), "%q", once)
		}
	})
}

func BenchmarkNormalise(b *testing.B) {
	for b.Loop() {
		normalise(`Post "https://billing.internal/hooks?token=abc": dial tcp 10.0.0.1:443: connect: connection refused`)
	}
}
