package source

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"iter"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// rewrite is a way in which programs write JSON.
type rewrite struct {
	name    string
	options []jsontext.Options
}

// Ways to lay out, to order and to escape, of which every combination is tried.
var (
	layouts = []rewrite{
		{"without white space", nil},
		{"with spaces behind commas and colons", []jsontext.Options{jsontext.SpaceAfterComma(true), jsontext.SpaceAfterColon(true)}},
		{"indented by two spaces", []jsontext.Options{jsontext.WithIndent("  ")}},
		{"indented by four spaces", []jsontext.Options{jsontext.WithIndent("    ")}},
	}
	orders = []rewrite{
		{"", nil},
		{", with its names sorted", []jsontext.Options{jsontext.ReorderRawObjects(true)}},
	}
	escapes = []rewrite{
		{"", []jsontext.Options{jsontext.PreserveRawStrings(true)}},
		{", with fewer escapes", nil},
		{", with <, > and & escaped", []jsontext.Options{jsontext.EscapeForHTML(true), jsontext.EscapeForJS(true)}},
	}
)

// rewritten returns the way to write body with which the signature would be
// right, or "".
func (s *Source) rewritten(t *trial, signature string, body []byte) string {
	if len(body) > maxRewritten {
		return ""
	}
	seed, tried := maphash.MakeSeed(), map[uint64]bool{}
	room := maxWritten
	for way, written := range rewritings(body) {
		if id := maphash.Bytes(seed, written); !tried[id] {
			tried[id] = true
			if t.fits(signature, written, s.secrets...) {
				return way
			}
		}
		if room -= len(written); room < 0 || t.room < len(written) {
			return ""
		}
	}
	return ""
}

// rewritings are the ways to write body, each with its name.
func rewritings(body []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		bare := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
		ok := yield("without the byte order mark", bare) &&
			yield("without white space around it", bytes.TrimSpace(body)) &&
			yield("with a line break at its end", append(bytes.TrimSpace(body), '\n')) &&
			yield("with the line breaks of Windows", bytes.ReplaceAll(body, []byte("\n"), []byte("\r\n"))) &&
			yield("without the line breaks of Windows", bytes.ReplaceAll(body, []byte("\r\n"), []byte("\n")))
		if !ok || !canBeRewritten(bare) {
			return
		}
		for _, layout := range layouts {
			for _, order := range orders {
				for _, escape := range escapes {
					options := slices.Concat(layout.options, order.options, escape.options)
					written := jsontext.Value(bytes.Clone(bare))
					if written.Format(options...) != nil {
						continue // a name twice, or not UTF-8
					}
					if !yieldEscaped(yield, "written "+layout.name+order.name+escape.name, written) {
						return
					}
				}
			}
		}
	}
}

// canBeRewritten reports whether value is one value of JSON that does not nest
// too deep: what indents writes the depth of each line before it, so a few
// kilobytes of brackets would become a gigabyte.
func canBeRewritten(value []byte) bool {
	dec := jsontext.NewDecoder(bytes.NewBuffer(value)) // it reads value itself, no copy
	for {
		switch _, err := dec.ReadToken(); {
		case err != nil || dec.StackDepth() > maxRewrittenDepth:
			return false
		case dec.StackDepth() == 0:
			return len(bytes.TrimLeft(value[dec.InputOffset():], " \t\r\n")) == 0
		}
	}
}

// yieldEscaped yields what was written, also with escapes that jsontext has no
// option for, and each with a line break at its end.
func yieldEscaped(yield func(string, []byte) bool, name string, written []byte) bool {
	ascii := escapeNonASCII(written)
	for _, e := range []struct {
		name string
		body []byte
	}{
		{"", written},
		{", with characters beyond ASCII escaped", ascii},
		{", with slashes and characters beyond ASCII escaped", bytes.ReplaceAll(ascii, []byte("/"), []byte(`\/`))},
	} {
		if !yield(name+e.name, e.body) || !yield(name+e.name+", with a line break at its end", append(bytes.Clone(e.body), '\n')) {
			return false
		}
	}
	return true
}

// escapeNonASCII writes every character beyond ASCII as \uXXXX, as Python and
// PHP do. Outside of strings JSON has none.
func escapeNonASCII(value []byte) []byte {
	var out []byte
	for _, r := range string(value) {
		switch {
		case r < 0x80:
			out = append(out, byte(r))
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}
