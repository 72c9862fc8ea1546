package provider

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/hookspan/hookspan/internal/printable"
)

const (
	// maxMessage bounds a quoted message, in bytes.
	maxMessage = 256
	// maxRetryAfter bounds a provider's Retry-After.
	maxRetryAfter = time.Hour
	// minSecret is the length in bytes from which a key is searched for in answers. A
	// shorter one occurs in any text, and is no secret.
	minSecret = 8
	censored  = "[censored]"
)

// Censor removes the key from a provider's text, since some repeat it. A key under 8 bytes
// stays.
func Censor(text, key []byte) []byte {
	if len(key) < minSecret || !bytes.Contains(text, key) {
		return text
	}
	return bytes.ReplaceAll(text, key, []byte(censored))
}

// plainText returns the printable start of a provider's text, without the key.
func plainText(text string, key []byte) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(Censor([]byte(text), key)))
	return printable.Truncate(strings.TrimSpace(text), maxMessage)
}

// quoted is plainText behind a colon and a space, or nothing.
func quoted(text string, key []byte) string {
	if text = plainText(text, key); text != "" {
		return ": " + text
	}
	return ""
}

// told is an error with another text: errors of net/http hold the address, and bytes of a
// peer that does not speak HTTP.
type told struct {
	text string
	err  error
}

func (t *told) Error() string { return t.text }

func (t *told) Unwrap() error { return t.err }

// withoutURL turns an error of http.Client into one that can be shown.
func withoutURL(err error, key []byte) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &told{text: plainText(err.Error(), key), err: err}
}

func redirected(res *http.Response, key []byte) error {
	to := "nowhere"
	if u, err := res.Location(); err == nil {
		to = u.Host
	}
	return fmt.Errorf("it answered %d and points to %s, and is not followed, since the key would go there: check api.base_url",
		res.StatusCode, plainText(to, key))
}
