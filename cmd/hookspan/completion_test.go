package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shells say what a line could go on with, the last word as far as it is typed. Each runs the
// script as it is printed; only what draws a menu is not there.
var shells = map[string]func(line string) string{
	"bash": func(line string) string {
		return `source <(hookspan completion bash)
COMP_WORDS=(` + quoted(line) + `) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_hookspan hookspan
printf '%s\n' "${COMPREPLY[@]}"`
	},
	"zsh": func(line string) string {
		return `compdef() { : }
_files() { : }
_describe() { for found in "${(@P)2}"; do print -r -- "${found%%:*}"; done }
source <(hookspan completion zsh)
words=(` + quoted(line) + `) CURRENT=$#words
_hookspan
true`
	},
	"fish": func(line string) string {
		return `hookspan completion fish | source
complete -C '` + line + `' | string split -f 1 \t
true`
	},
}

func quoted(line string) string {
	return "'" + strings.Join(strings.Split(line, " "), "' '") + "'"
}

// Shells complete verbs, flags, fixed lists, and the names that the bridge of the folder knows.
// bash is always there; zsh and fish are asked where they are installed, as in CI.
func TestCompletion(t *testing.T) {
	t.Parallel()
	p := serveHere(t, strings.Replace(smallConfig, "consumers: {archive: {enabled: false}}",
		"consumers: {archive: {enabled: false}, billing: {kind: pull}, books: {kind: pull}, crm: {kind: pull}}", 1))
	bin := t.TempDir()
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(bin, "hookspan")))
	names := func(shell, line string) []string {
		cmd := command(t, p.dir)
		cmd.Path, err = exec.LookPath(shell)
		require.NoError(t, err)
		cmd.Args = []string{shell, "-c", shells[shell](line)}
		for i, v := range cmd.Env {
			if path, ok := strings.CutPrefix(v, "PATH="); ok {
				cmd.Env[i] = "PATH=" + bin + ":" + path
			}
		}
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.Fields(string(out))
	}
	for shell := range shells {
		if _, err := exec.LookPath(shell); err != nil && shell != "bash" {
			continue
		}
		// A busy bridge may not answer within the second that a shell waits.
		require.Eventually(t, func() bool {
			return slices.Equal([]string{"billing", "books"}, names(shell, "hookspan consumers pause b"))
		}, patience, time.Millisecond, shell)
		require.Empty(t, names(shell, "hookspan nonsense zzz"), shell)
	}
	config := "--config " + filepath.Join(p.dir, "hookspan.yaml")
	for line, want := range map[string][]string{
		"dea":                                  {"dead"},
		"quarantine re":                        {"reverify"},
		"dlq redrive --dry":                    {"--dry-run"},
		"consumers pause BRIDGE b":             {"billing", "books"},
		"consumers remove BRIDGE --yes c":      {"crm"},
		"dead list BRIDGE --consumer cr":       {"crm"},
		"dead list BRIDGE --consumer = cr":     {"crm"}, // as bash splits words
		"--json dead list --cause exh":         {"exhausted"},
		"dead list --cause=exh":                {"exhausted"},
		"predictions list BRIDGE --source get": {"get3w"},
		"events list --limit 5 --status c":     {"completed", "created", "canceled"},
		"consumers add b":                      nil, // it names a new one
		"consumers pause zzz":                  nil,
		"serve --config ":                      nil, // the shell knows files
	} {
		var got []string
		complete := func() bool {
			code, stdout, _ := runVerb(append([]string{"completion", "words", "--"}, strings.Split(strings.ReplaceAll(line, "BRIDGE", config), " ")...)...)
			require.Zero(t, code)
			got = nil
			for found := range strings.Lines(stdout) {
				word, _, _ := strings.Cut(found, "\t")
				got = append(got, word)
			}
			return len(got) > 0
		}
		if want == nil {
			complete()
		} else {
			require.Eventually(t, complete, patience, time.Millisecond, line)
		}
		require.ElementsMatch(t, want, got, line)
	}
}

// Nothing is printed for words that no verb has, or when the bridge is away, and nothing fails:
// a shell would show it in the middle of a line.
func TestCompletionWithoutABridge(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{
		nil,
		{""},
		{"="},
		{"=", "="},
		{"--"},
		{"consumers", "pause", ""},
		{"consumers", "list", "--api", "http://127.0.0.1:1", "--token", "file:/none", ""},
		{"\x1b[31m", "\u202e", ""},
		{"dead", "--consumer"},
		{"events", "show", "1", "2", "3"},
	} {
		code, _, stderr := runVerb(append([]string{"completion", "words", "--"}, words...)...)
		require.Zero(t, code, words)
		require.Empty(t, stderr, words)
	}
}

func FuzzCompletion(f *testing.F) {
	f.Add("consumers pause --config = x ")
	f.Add("dlq list --cause=")
	f.Fuzz(func(t *testing.T, line string) {
		code, _, stderr := runVerb(append([]string{"completion", "words", "--"}, strings.Split(line, " ")...)...)
		require.Zero(t, code)
		require.Empty(t, stderr)
	})
}
