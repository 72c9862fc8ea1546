// Package printable makes foreign text safe to show in a terminal, a log line or a table: no
// part of it can act, break the line or hide.
package printable

import (
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// String returns s with escapes for everything unprintable: `
//
// `, `\r` and `\t`, `\u` and four hex digits for other controls (C0, DEL, C1), line separators,
// bidirectional marks and every other rune for which unicode.IsPrint is false, `\U` and eight
// digits for those above U+FFFF, and `\x` and two digits for each byte that is not UTF-8. The
// space U+0020 stays, other spaces do not. Backslashes stay too, so the result is for reading
// only. A text without anything to escape is returned without an allocation. It is safe for
// concurrent use.
func String(s string) string {
	i := unsafeAt(s)
	if i < 0 {
		return s
	}
	out := make([]byte, 0, len(s)+16)
	for i >= 0 {
		out = append(out, s[:i]...)
		r, size := utf8.DecodeRuneInString(s[i:])
		out = appendEscaped(out, r, s[i], size)
		s = s[i+size:]
		i = unsafeAt(s)
	}
	return string(append(out, s...))
}

// JSON returns the JSON text with `\u` escapes for everything unprintable in its strings, a
// pair of them for a rune above U+FFFF and U+FFFD for each byte that is not UTF-8.
// encoding/json reads the same value from the result and the text. A text without anything to
// escape is returned itself. It is safe for concurrent use.
func JSON(text []byte) []byte {
	var out []byte
	done := 0
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf && c != 0x7f {
			i++ // strings hold no control, and white space may stand between values
			continue
		}
		r, size := utf8.DecodeRune(text[i:])
		if invalid := r == utf8.RuneError && size == 1; invalid || !unicode.IsPrint(r) {
			out = append(out, text[done:i]...)
			if high, low := utf16.EncodeRune(r); r > 0xffff {
				out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
			} else {
				out = fmt.Appendf(out, `\u%04x`, r)
			}
			done = i + size
		}
		i += size
	}
	if done == 0 {
		return text
	}
	return append(out, text[done:]...)
}

// unsafeAt returns the index of the first thing to escape in s, -1 if there is none.
func unsafeAt(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < ' ' || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			return i
		}
		i += size
	}
	return -1
}

func appendEscaped(out []byte, r rune, first byte, size int) []byte {
	switch {
	case r == utf8.RuneError && size == 1:
		return fmt.Appendf(out, `\x%02x`, first)
	case r == '\n':
		return append(out, `\n`...)
	case r == '\r':
		return append(out, `\r`...)
	case r == '\t':
		return append(out, `\t`...)
	case r > 0xffff:
		return fmt.Appendf(out, `\U%08x`, r)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
