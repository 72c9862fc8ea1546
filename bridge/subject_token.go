package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	tokenBytes    = 64 // longest token on the wire
	tokenKeep     = 47 // bytes of a longer one before the mark and the digest
	tokenMark     = "=-"
	tokenDigest   = tokenBytes - tokenKeep - len(tokenMark)
	emptyToken    = "="
	upperHexChars = "0123456789ABCDEF"
)

// ErrShortened is wrapped by [DecodeToken] for a token that ends in a digest.
var ErrShortened = errors.New("token was shortened and cannot be decoded")

// EncodeToken turns any string into one token of a NATS subject, which is also safe as a
// file name and as a key of a bucket. ASCII letters, digits, '_' and '-' stay, every other
// byte becomes '=' and two upper-case hex digits, the empty string becomes "=". A result
// over 64 bytes keeps its first 47, then "=-" and 15 hex digits of the SHA-256 of s.
// Different strings give different tokens.
func EncodeToken(s string) string {
	if s == "" {
		return emptyToken
	}
	token := escape(s, '=', tokenEscapes)
	if len(token) <= tokenBytes {
		return token
	}
	sum := sha256.Sum256([]byte(s))
	return token[:tokenKeep] + tokenMark + hex.EncodeToString(sum[:])[:tokenDigest]
}

// DecodeToken is the inverse of [EncodeToken]. The error wraps [ErrShortened] for a
// shortened token; other errors are about tokens that EncodeToken never makes.
func DecodeToken(token string) (string, error) {
	if token == emptyToken {
		return "", nil
	}
	if token == "" || len(token) > tokenBytes {
		return "", fmt.Errorf("token of %d bytes", len(token))
	}
	if len(token) == tokenBytes && token[tokenKeep:tokenKeep+len(tokenMark)] == tokenMark {
		return "", fmt.Errorf("token %q: %w", token, ErrShortened)
	}
	out := make([]byte, 0, len(token))
	for i := 0; i < len(token); i++ {
		c := token[i]
		switch {
		case plain(c):
			out = append(out, c)
		case c == '=' && i+2 < len(token):
			hi, lo := strings.IndexByte(upperHexChars, token[i+1]), strings.IndexByte(upperHexChars, token[i+2])
			if hi < 0 || lo < 0 || plain(byte(hi<<4|lo)) {
				return "", fmt.Errorf("token %q: bad escape at %d", token, i)
			}
			out = append(out, byte(hi<<4|lo))
			i += 2
		default:
			return "", fmt.Errorf("token %q: bad character at %d", token, i)
		}
	}
	return string(out), nil
}

var tokenEscapes = escapesOf(func(c byte) bool { return !plain(c) })

func plain(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
