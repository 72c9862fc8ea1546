package source

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// writings are how libraries write JSON. A proxy or framework that reads a body and passes it on
// writes it in one of them, while the sender has signed its own.
var writings = []struct {
	name string
	opts []jsontext.Options
}{
	{"without white space", nil},
	{"with a space behind each comma and colon", []jsontext.Options{jsontext.SpaceAfterColon(true), jsontext.SpaceAfterComma(true)}},
	{"indented by two spaces", []jsontext.Options{jsontext.Multiline(true), jsontext.WithIndent("  ")}},
	{"indented by four spaces", []jsontext.Options{jsontext.Multiline(true), jsontext.WithIndent("    ")}},
	{"indented by tabs", []jsontext.Options{jsontext.Multiline(true), jsontext.WithIndent("\t")}},
}

// strung are how libraries write the strings of JSON.
var strung = []struct {
	name string
	opts []jsontext.Options
	end  func(text []byte) []byte
}{
	{"", []jsontext.Options{jsontext.PreserveRawStrings(true)}, nil},
	{" and no character escaped without need", nil, nil},
	{" and every character beyond ASCII escaped", nil, escapeToASCII},
	{" and <, > and & escaped", []jsontext.Options{jsontext.EscapeForHTML(true)}, nil},
	{" and every slash escaped", nil, escapeSlashes},
	{" and every slash and every character beyond ASCII escaped", nil, func(text []byte) []byte { return escapeSlashes(escapeToASCII(text)) }},
}

// writingCost is how many times its length one writing of a body counts as hashed: it takes about
// as long.
const writingCost = 8

// matchWriting searches for another writing of the same JSON that the signature is of.
func (s *Source) matchWriting(t *trial, signature string, body []byte) (Cause, string) {
	if !jsontext.Value(body).IsValid(jsontext.AllowDuplicateNames(true)) {
		return "", ""
	}
	for _, sorted := range []bool{false, true} {
		for _, w := range writings {
			for _, str := range strung {
				if t.room < (writingCost+1)*len(body) {
					return "", ""
				}
				t.room -= writingCost * len(body)
				text := jsontext.Value(bytes.Clone(body))
				opts := slices.Concat(w.opts, str.opts, []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.ReorderRawObjects(sorted)})
				if text.Format(opts...) != nil {
					continue // it nests too deep
				}
				written := []byte(text)
				if str.end != nil {
					written = str.end(written)
				}
				if !t.fits(signature, written, s.secrets...) {
					continue
				}
				name := w.name + str.name
				if sorted {
					name += ", with its names sorted"
				}
				return CauseBodyChanged, fmt.Sprintf("the signature is that of the same JSON written %s: something on its way reads the body and writes it anew; verify the bytes that came, and pass them on as they are", name)
			}
		}
	}
	return "", ""
}

func escapeToASCII(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r < utf8.RuneSelf:
			out = append(out, text[0])
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}

// escapeSlashes escapes the slashes of JSON whose strings escape none.
func escapeSlashes(text []byte) []byte { return []byte(strings.ReplaceAll(string(text), "/", `\/`)) }
