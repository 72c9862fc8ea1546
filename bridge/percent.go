package bridge

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// encodePercent encodes a header value by the rule of the CloudEvents bindings: space,
// double quote, percent and every byte outside U+0021 to U+007E become %XX (CloudEvents
// HTTP binding 1.0.2, section 3.1.3.2, which binary mode over NATS shares). So no line
// break reaches nats.go, which would turn it into a space and make two ids one.
func encodePercent(s string) string { return escape(s, '%', percentEscapes) }

// escape writes mark and two upper-case hex digits for every byte that must be escaped. It
// returns s itself when there is none.
func escape(s string, mark byte, must *escapes) string {
	n := 0
	for i := range len(s) {
		if must[s[i]] {
			n++
		}
	}
	if n == 0 {
		return s
	}
	out := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; must[c] {
			out = append(out, mark, upperHexChars[c>>4], upperHexChars[c&0xf])
		} else {
			out = append(out, c)
		}
	}
	return string(out)
}

// escapes says of each byte whether it must be escaped.
type escapes [256]bool

func escapesOf(must func(byte) bool) *escapes {
	var out escapes
	for c := range out {
		out[c] = must(byte(c))
	}
	return &out
}

var percentEscapes = escapesOf(mustEscape)

func mustEscape(c byte) bool {
	return c <= ' ' || c >= 0x7f || c == '"' || c == '%'
}

// decodePercent is the inverse of encodePercent. It also takes lower-case hex digits and
// needlessly escaped characters, as the binding demands of readers.
func decodePercent(s string) (string, error) {
	if !strings.Contains(s, "%") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", fmt.Errorf("percent-encoding ends after %q", s[i:])
		}
		var err error
		if out, err = hex.AppendDecode(out, []byte(s[i+1:i+3])); err != nil {
			return "", fmt.Errorf("bad percent-encoding %q", s[i:i+3])
		}
		i += 2
	}
	return string(out), nil
}

// EncodedLen is the size of s as a header value, in bytes.
func EncodedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		if mustEscape(s[i]) {
			n += 2
		}
	}
	return n
}
