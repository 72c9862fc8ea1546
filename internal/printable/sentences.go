package printable

import (
	"strings"
	"unicode/utf8"
)

// Sentences joins texts for people, each as a sentence: it adds a full stop to a text without a
// final mark, except to the last one. Texts may end in foreign text, such as an error: they may
// be empty, end in a mark, or have several lines, which become one.
func Sentences(texts ...string) string {
	var out strings.Builder
	for _, text := range texts {
		text = oneLine(text)
		if text == "" {
			continue
		}
		if before := out.String(); before != "" {
			if !endsSentence(before) {
				out.WriteByte('.')
			}
			out.WriteByte(' ')
		}
		out.WriteString(text)
	}
	return out.String()
}

// oneLine joins the lines of a text, such as those of errors.Join, and removes an introduction
// of which nothing follows.
func oneLine(text string) string {
	var out strings.Builder
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimRight(strings.TrimSpace(line), " \t,;:")
		switch {
		case line == "":
			continue
		case out.Len() == 0:
		case endsSentence(out.String()):
			out.WriteByte(' ')
		default:
			out.WriteString("; ")
		}
		out.WriteString(line)
	}
	return out.String()
}

// endsSentence ignores closing quotes at the end, but not parentheses: a mark inside them ends
// no sentence.
func endsSentence(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(text, "\"'”’»`"))
	return strings.ContainsRune(".?!…。？！", last)
}
