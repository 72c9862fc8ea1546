// Package pasted finds what people accidentally paste together with a secret.
package pasted

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Marks of an encoding at the beginning of a file.
var (
	utf8Mark    = []byte("\xEF\xBB\xBF")
	utf16Little = []byte("\xFF\xFE")
	utf16Big    = []byte("\xFE\xFF")
)

// Text returns a file's content without the UTF-8 byte order mark that some editors write. A
// file in UTF-16 is an error that says how to save it.
func Text(content []byte) ([]byte, error) {
	if bytes.HasPrefix(content, utf16Little) || bytes.HasPrefix(content, utf16Big) {
		return nil, errors.New("it is saved as UTF-16: save it as UTF-8")
	}
	return bytes.TrimPrefix(content, utf8Mark), nil
}

// Check returns an error when a secret has surroundings that hardly belong to it: white space
// or quotes around it, something before whsec_, a line break, tab or invisible character in it.
// A space inside is allowed, and a secret that is no text, such as a random key, is not
// checked. The error says what to remove and repeats nothing of the secret.
func Check(secret []byte) error {
	text := string(secret)
	if !utf8.ValidString(text) || holdsBinary(text) {
		return nil
	}
	first, _ := utf8.DecodeRuneInString(text)
	last, _ := utf8.DecodeLastRuneInString(text)
	switch {
	case text == "":
		return nil
	case unicode.IsSpace(first) || unicode.IsSpace(last):
		return errors.New("it has white space or a line break before or behind it: remove that")
	case len(text) > 1 && first == last && (first == '"' || first == '\'' || first == '`'), first == '“', first == '‘':
		return errors.New("it stands in quotes: remove them")
	}
	if strings.LastIndex(text, "whsec_") > 0 {
		return errors.New("something stands before whsec_: write it from whsec_ on, once")
	}
	if strings.HasPrefix(text, "Bearer ") {
		return errors.New("it begins with Bearer: remove that word")
	}
	for _, r := range text {
		if r != ' ' && !unicode.IsGraphic(r) || r != ' ' && unicode.IsSpace(r) {
			return errors.New("it has a line break or an invisible character in it: write it in one line, as it was shown")
		}
	}
	return nil
}

// holdsBinary reports whether text has control characters that nobody can paste.
func holdsBinary(text string) bool {
	for _, r := range text {
		if r < ' ' && !unicode.IsSpace(r) || r == 0x7f {
			return true
		}
	}
	return false
}
