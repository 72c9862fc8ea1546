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
	// maxMessage bounds what is repeated of an answer, in bytes.
	maxMessage = 256
	// maxRetryAfter bounds how long a provider can have itself left alone.
	maxRetryAfter = time.Hour
	// minSecret is the length from which on a key is looked for in answers. What is
	// shorter is found in every text, and is no secret.
	minSecret = 8
	censored  = "[censored]"
)

// Censor takes a secret out of what the provider said, which some repeat. One that is
// shorter than 8 bytes stays.
func Censor(text, key []byte) []byte {
	if len(key) < minSecret || !bytes.Contains(text, key) {
		return text
	}
	return bytes.ReplaceAll(text, key, []byte(censored))
}

// plainText is what can be shown of something that the provider said.
func plainText(text string, key []byte) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, string(Censor([]byte(text), key)))
	return printable.Truncate(strings.TrimSpace(text), maxMessage)
}

// quoted is plainText with a colon and a space before it, or nothing.
func quoted(text string, key []byte) string {
	if text = plainText(text, key); text != "" {
		return ": " + text
	}
	return ""
}

// told is an error with another text. The text of errors of net/http holds the
// address, and what a peer sent that is not HTTP.
type told struct {
	text string
	err  error
}

func (t *told) Error() string { return t.text }

func (t *told) Unwrap() error { return t.err }

// withoutURL makes an error of http.Client one that can be shown.
func withoutURL(err error, key []byte) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &told{text: plainText(err.Error(), key), err: err}
}

// redirected is the error about an answer 3xx.
func redirected(res *http.Response, key []byte) error {
	to := "nowhere"
	if u, err := res.Location(); err == nil {
		to = u.Host
	}
	return fmt.Errorf("it answered %d and points to %s, and is not followed, since the key would go there: check api.base_url",
		res.StatusCode, plainText(to, key))
}
