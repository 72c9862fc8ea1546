package console

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/printable"
)

// maxBody is how much of a body a page shows, in bytes.
const maxBody = 256 << 10

// maxIndented bounds what JSON is written as with its lines, in bytes. Anybody can send brackets in
// brackets, and each makes the lines within longer.
const maxIndented = 16 << 20

// indented returns JSON with one value a line. What is no JSON, or would be too large so, it
// returns as it is.
func indented(text []byte) []byte {
	var out bytes.Buffer
	if indentedSize(text) > maxIndented || json.Indent(&out, text, "", "  ") != nil {
		return text
	}
	return out.Bytes()
}

// indentedSize returns about how many bytes JSON has with two spaces for each level.
func indentedSize(text []byte) int {
	size, depth, quoted, escaped := len(text), 0, false, false
	for _, b := range text {
		switch {
		case escaped:
			escaped = false
		case quoted:
			quoted, escaped = b != '"', b == '\\'
		case b == '"':
			quoted = true
		case b == '{' || b == '[':
			depth++
			size += 1 + 2*depth
		case b == ',' || b == '}' || b == ']':
			if b != ',' {
				depth = max(0, depth-1)
			}
			size += 1 + 2*depth
		}
	}
	return size
}

// body is a sender's body for a page.
type body struct {
	// Text is safe to show, with its lines. JSON has one value a line, its numbers as they were
	// sent.
	Text string
	// Bytes is the size of the body; Cut: Text is only its beginning.
	Bytes  int
	Cut    bool
	Binary bool
}

func newBody(c adminapi.Content) body {
	text := c.Bytes()
	b := body{Bytes: len(text), Binary: !utf8.Valid(text)}
	text = indented(text)
	if len(text) > maxBody {
		text, b.Cut = text[:maxBody], true
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		lines[i] = printable.String(line)
	}
	b.Text = strings.Join(lines, "\n")
	return b
}
