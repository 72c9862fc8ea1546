package console

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hookspan/hookspan/internal/printable"
)

// phrase is a part of a sentence. One that is Whole is not broken over two lines.
type phrase struct {
	Text  string
	Whole bool
}

var (
	// flagged is an option of a command, as sentences that say what to do name it.
	flagged = regexp.MustCompile(`--[a-z-]{1,24}`)
	// opening is a word of prose at the beginning, and not a command, a key or a path.
	opening = regexp.MustCompile(`^[a-z][a-z'-]*[ ,:;.]?( |$)`)
)

// prose is a text of the bridge, without what a stranger's part of it could bring, as a sentence
// for a page.
func prose(s any) (out []phrase) {
	text := sentence(printable.String(fmt.Sprint(s)))
	for at := flagged.FindStringIndex(text); at != nil; at = flagged.FindStringIndex(text) {
		out = append(out, phrase{Text: text[:at[0]]}, phrase{text[at[0]:at[1]], true})
		text = text[at[1]:]
	}
	return append(out, phrase{Text: text})
}

// sentence begins a text with a capital letter, unless it begins with what one can type.
func sentence(text string) string {
	if text == "" || strings.HasPrefix(text, "hookspan ") || !opening.MatchString(text) {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
