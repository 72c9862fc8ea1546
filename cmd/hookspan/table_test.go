package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"github.com/stretchr/testify/require"
)

// Columns stay columns beside ids of wide letters, of letters with marks, and of those that act
// on a terminal.
func TestColumns(t *testing.T) {
	t.Parallel()
	ids := []string{"pred_1", "日本語", "🦊🦊", "e\u0301e\u0301", "\x1b[31mred", "\u202ertl", "a b", `"q"`}
	table := newTable("ID", "STATE")
	for _, id := range ids {
		table.row(id, toned{bad, "failing"})
	}
	for _, colours := range []bool{false, true} {
		var text bytes.Buffer
		out := &printer{w: &text, colours: colours}
		table.print(out)
		require.NoError(t, out.err)
		lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
		require.Len(t, lines, len(ids)+1)
		want := strings.Index(lines[0], "STATE")
		for _, line := range lines[1:] {
			before, _, found := strings.Cut(strings.Replace(line, colour[bad], "", 1), "failing")
			require.True(t, found)
			require.Equal(t, want, runewidth.StringWidth(before), line)
			require.Equal(t, colours, strings.Contains(line, colour[bad]+"failing"+noColour))
			require.Equal(t, line, strings.TrimRight(line, " "))
		}
	}
}

// Colours and the clearing of the screen are for terminals that can do both, and for those who
// want them.
func TestLook(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		terminal        bool
		env             map[string]string
		screen, colours bool
	}{
		{true, map[string]string{"TERM": "xterm"}, true, true},
		{true, nil, true, true},
		{true, map[string]string{"NO_COLOR": ""}, true, true},
		{true, map[string]string{"NO_COLOR": "1"}, true, false},
		{true, map[string]string{"TERM": "dumb"}, false, false},
		{false, map[string]string{"TERM": "xterm"}, false, false},
	} {
		screen, colours := look(c.terminal, func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
		require.Equal(t, c.screen, screen, c)
		require.Equal(t, c.colours, colours, c)
	}
}
