package printable

import (
	"strings"
	"unicode/utf8"
)

// Truncate cuts s to at most n bytes of valid UTF-8. It looks at the first bytes only, so a huge
// text costs no more than a short one.
func Truncate(s string, n int) string {
	s = strings.ToValidUTF8(cut(s, n+utf8.UTFMax), "\uFFFD")
	return cut(s, n)
}

// cut returns at most n bytes of s and no part of a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for range utf8.UTFMax - 1 { // more bytes without a start are no rune
		if n == 0 || utf8.RuneStart(s[n]) {
			break
		}
		n--
	}
	return s[:n]
}
