package printable_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/printable"
)

func TestWhatIsNotPrintableIsEscaped(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                                 "",
		"plain text, 100 % = 1/1 \\ \"q\"": "plain text, 100 % = 1/1 \\ \"q\"",
		"ünïcödé 日本語 🦊 e\u0301 \ufffd": "ünïcödé 日本語 🦊 e\u0301 \ufffd",
		"a\nb\r\tc":         `a\nb\r\tc`,
		"\x00\x1b[31m\x7f":  `\u0000\u001b[31m\u007f`,
		"a\u009b31m\u0085b": `a\u009b31m\u0085b`,
		"x\u2028y\u2029z":   `x\u2028y\u2029z`,
		"\u202egnp.exe\u202c \u200f\u061c \u2066\u2069": `\u202egnp.exe\u202c \u200f\u061c \u2066\u2069`,
		"\ufeff\u00ad\u200b\u200d\u00a0\u3000":          `\ufeff\u00ad\u200b\u200d\u00a0\u3000`,
		"\U000e0041\U0010ffff":                          `\U000e0041\U0010ffff`,
		"\xff\xc3(\xe2\x80":                             `\xff\xc3(\xe2\x80`,
		"\xed\xa0\x80":                                  `\xed\xa0\x80`,
		"\x9b":                                          `\x9b`,
	} {
		require.Equal(t, want, printable.String(in), "%q", in)
	}
}

// Every rune of Unicode: runes that stay are printable and not of the classes on which
// terminals act.
func TestEveryRune(t *testing.T) {
	t.Parallel()
	for r := range unicode.MaxRune + 1 {
		if !utf8.ValidRune(r) {
			continue
		}
		got := printable.String(string(r))
		stays := unicode.IsPrint(r) && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control)
		if stays != (got == string(r)) { // a million calls of require take their time
			require.Equal(t, stays, got == string(r), "%U", r)
		}
	}
}

// Every rune of Unicode, and invalid bytes: the result has only printable runes, and is read as
// the same value.
func TestJSONIsPrintableAndTheSameValue(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for r := range unicode.MaxRune + 1 {
		all.WriteRune(r)
	}
	text, err := json.Marshal(map[string]string{"every rune": all.String(), "\u009b": `\u009b "quoted" \`})
	require.NoError(t, err)
	for _, text := range []string{string(text), "{\n\t\"a\": [1, \"\u009b\\n\\u009b\x7f\U000e0041\"]\r\n}", "\"\xff\xc3(\xe2\x80\x9b\"", `{"plain":"日本語 🦊"}`} {
		got := printable.JSON([]byte(text))
		require.True(t, utf8.Valid(got))
		for _, r := range string(got) {
			if !unicode.IsPrint(r) && !strings.ContainsRune(" \t\r\n", r) {
				require.Fail(t, "it is not printable", "%U", r)
			}
		}
		var want, parsed any
		require.NoError(t, json.Unmarshal([]byte(text), &want))
		require.NoError(t, json.Unmarshal(got, &parsed))
		require.True(t, reflect.DeepEqual(want, parsed))
	}
	const plain = `{"plain":"日本語 🦊"}`
	require.True(t, bytes.Equal([]byte(plain), printable.JSON([]byte(plain))))
	require.Equal(t, `"\u009b\udb40\udc41\ufffd"`, string(printable.JSON([]byte("\"\u009b\U000e0041\xff\""))))
}

func TestPrintableTextCostsNoAllocation(t *testing.T) {
	text := strings.Repeat("nothing to escape, 日本語, ", 50)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = printable.String(text) }))
}

func FuzzString(f *testing.F) {
	for _, seed := range []string{"", "plain", "a\u009b31m", "x\u2028y", "\u202e", "\xff\x00", "\U000e0041", "日本語\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := printable.String(s)
		require.True(t, utf8.ValidString(got))
		for _, r := range got {
			require.True(t, unicode.IsPrint(r), "%U of %q stays", r, s)
		}
		require.Equal(t, got, printable.String(got), "what is printable changes")
	})
}

func FuzzTruncate(f *testing.F) {
	f.Add("né", 2)
	f.Add(strings.Repeat("\x80", 5000), 100)
	f.Add(strings.Repeat("\xf0\x9f", 300)+"🙂", 300)
	f.Fuzz(func(t *testing.T, s string, n int) {
		n = min(max(n, 0), 1<<20)
		got := printable.Truncate(s, n)
		whole := strings.ToValidUTF8(s, "\uFFFD")
		switch {
		case len(got) > n || !utf8.ValidString(got):
			t.Fatalf("%d bytes of %q are %q", n, s, got)
		case utf8.ValidString(s) && (!strings.HasPrefix(s, got) || len(got) < min(len(s), n-utf8.UTFMax+1)):
			t.Fatalf("%d bytes of %q are %q", n, s, got)
		case len(whole) <= n && len(s) <= n && got != whole, got == "" && whole != "" && n >= utf8.UTFMax:
			t.Fatalf("%d bytes of %q are %q", n, s, got)
		}
	})
}
