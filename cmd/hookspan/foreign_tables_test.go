package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// The whole way through the real binary: ids, models and errors of strangers stand in the log
// and in tables, as one printable line each.
func TestForeignTextInTheLogAndInTables(t *testing.T) {
	t.Parallel()
	const hostile = "<b onload=x>&\x1b[2J\x00\u009b31m\u202egnp\u200f\u2028{\"level\":\"error\"}\u2029\u0085\x7f\nFORGED"
	for _, format := range []string{"json", "console"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := serveHere(t, "log: {level: debug, format: "+format+"}\n"+strings.Replace(smallConfig, "archive: {enabled: false}",
				`archive: {enabled: false}, team: {kind: exec, command: ["/bin/sh", "-c", "printf '\\033[2J\\302\\233\\342\\200\\256 <b> stranger' >&2; exit 65"], start: all}`, 1))
			body, err := json.Marshal(map[string]string{"id": "p" + hostile, "model": "m/" + hostile, "status": "failed", "error": hostile})
			require.NoError(t, err)
			status, answer := p.post(string(body))
			require.Equal(t, 200, status, answer)
			require.Eventually(t, func() bool {
				return p.state("team").Dead == 1 && strings.Contains(p.says("predictions", "list"), "onload")
			}, patience, 20*time.Millisecond, p.logs)
			for _, verb := range []string{
				"events list", "predictions list", "dead list", "dead groups", "consumers list", "alarms",
			} {
				for _, form := range []string{"--json=false", "--json"} {
					out, err := command(t, p.dir, append(strings.Fields(verb), form, "--api", p.ready.Admin)...).CombinedOutput()
					require.NoError(t, err, "%s: %s", verb, out)
					requirePrintable(t, verb, string(out))
				}
			}
			require.Contains(t, p.says("dead", "list"), `<b> stranger`)
			require.Zero(t, p.stop())
			logs := p.logs.String()
			require.Contains(t, logs, "stranger", "the error of the command")
			require.Contains(t, logs, "FORGED", "the id of the sender")
			requirePrintable(t, "the log", logs)
		})
	}
}

func requirePrintable(t *testing.T, what, text string) {
	t.Helper()
	for _, r := range text {
		require.True(t, unicode.IsPrint(r) || r == '\n' || r == '\t', "%U is in %s: %q", r, what, text)
	}
	require.NotContains(t, text, "\nFORGED", what)
}

// Whatever the cells are, a table has one printable line for each row.
func FuzzTable(f *testing.F) {
	for _, text := range []string{"plain", nasty, "a\u009b31m", "x\u2028y", "\u202egnp", "\xff\x00", "%s%!d(MISSING)", "日本語 🦊"} {
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		var out bytes.Buffer
		p := &printer{w: &out}
		table := newTable("FIRST", "SECOND", "THIRD")
		table.row(one, 1, fmt.Errorf("it failed: %s", other))
		table.row(other, one, stranger(one))
		table.print(p)
		p.printf("%s %q %v %-20s %d\n", one, other, stranger(one), other, 1)
		require.NoError(t, p.err)
		require.True(t, utf8.Valid(out.Bytes()))
		require.Equal(t, 4, strings.Count(out.String(), "\n"), "%q", out.String())
		requirePrintable(t, "the table", out.String())
		require.NotContains(t, out.String(), "\t")
	})
}

// stranger is a value that says by itself how it is printed.
type stranger string

func (s stranger) String() string { return string(s) }
