package console

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hookspan/hookspan/internal/adminapi"
)

// maxCurl bounds the body of a command that is copied, in bytes.
const maxCurl = 32 << 10

// localURL is where a service listens that is being developed.
const localURL = "http://127.0.0.1:3000/webhooks"

// quote writes a word of a POSIX shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./:@%+=,", r))
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// curl returns a command that posts an event as its provider did, with its signature, to a
// service on this machine. It is empty for an event without a signature, for a large one, and
// for one with controls, which could act in the terminal that it is pasted into.
func curl(e *adminapi.EventDetail, header string) string {
	body, signature := string(e.Bytes()), firstOf(e.Header["ce-signature"])
	acts := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	if header == "" || signature == "" || len(body) > maxCurl || !utf8.ValidString(body) || strings.IndexFunc(body+signature, acts) >= 0 {
		return ""
	}
	kind := firstOf(e.Header["ce-datacontenttype"])
	if strings.IndexFunc(kind, acts) >= 0 || kind == "" {
		kind = "application/json"
	}
	return "curl -sS -X POST " + quote(localURL) + " -H " + quote("Content-Type: "+kind) + " -H " + quote(header+": "+signature) + " --data-binary " + quote(body)
}

func firstOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
