package bridge

import (
	"fmt"
	"strings"
)

// encodePercent makes a header value of any string by the rule of the
// CloudEvents bindings: space, double quote, percent and every byte outside
// U+0021 to U+007E become %XX (CloudEvents HTTP binding 1.0.2, section 3.1.3.2,
// which binary mode over NATS shares). A line break never reaches nats.go, which
// would turn it into a space and make two ids one.
func encodePercent(s string) string {
	n := 0
	for i := range len(s) {
		if mustEscape(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 2*n)
	for i := range len(s) {
		if c := s[i]; mustEscape(c) {
			b.WriteByte('%')
			b.WriteByte(upperHexChars[c>>4])
			b.WriteByte(upperHexChars[c&0xf])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func mustEscape(c byte) bool {
	return c <= ' ' || c >= 0x7f || c == '"' || c == '%'
}

// decodePercent is the inverse of encodePercent. It takes lower-case hex digits
// and characters that need no escape too, as the binding demands of readers.
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
		hi, lo := hexDigit(s[i+1]), hexDigit(s[i+2])
		if hi < 0 || lo < 0 {
			return "", fmt.Errorf("bad percent-encoding %q", s[i:i+3])
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// EncodedLen is how many bytes s takes as a header value.
func EncodedLen(s string) int {
	n := len(s)
	for i := range len(s) {
		if mustEscape(s[i]) {
			n += 2
		}
	}
	return n
}
