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
	var pretty bytes.Buffer
	if json.Indent(&pretty, text, "", "  ") == nil {
		text = pretty.Bytes()
	}
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
