package printable

import (
	"strings"
	"unicode/utf8"
)

// Sentences puts texts behind each other, each as a sentence of its own, for people:
// one that does not end in a mark of its own is ended by a full stop, the last one
// stays as it is. It is for texts that end in what somebody else wrote, such as an
// error: that may be empty, end in a mark, or have several lines, which become one.
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

// oneLine joins the lines of a text, such as those of errors.Join, and cuts what leads
// to something that does not follow.
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

// endsSentence looks behind closing quotes, but not into parentheses: what stands in
// them ends nothing.
func endsSentence(text string) bool {
	last, _ := utf8.DecodeLastRuneInString(strings.TrimRight(text, "\"'”’»`"))
	return strings.ContainsRune(".?!…。？！", last)
}
