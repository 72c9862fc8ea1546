package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExecConfig(t *testing.T) {
	cfg, err := load(write(t, `
consumers:
  little: {kind: exec, command: [/bin/true]}
  much: {kind: exec, command: [/bin/echo, "--size=512", ""], env: [PATH, AWS_SECRET_ACCESS_KEY], concurrency: 9, timeout: 1h, once: true, rate: 5/s}
  closed: {kind: exec, command: [/bin/true], env: []}
`))
	require.NoError(t, err)
	require.Equal(t, consumerConfig{
		Kind: "exec", Command: []string{"/bin/true"}, Env: []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ"},
		Start: "new", Concurrency: 2, Timeout: duration(2 * time.Minute),
	}, cfg.Consumers["little"])
	require.Equal(t, consumerConfig{
		Kind: "exec", Command: []string{"/bin/echo", "--size=512", ""}, Env: []string{"PATH", "AWS_SECRET_ACCESS_KEY"},
		Start: "new", Concurrency: 9, Timeout: duration(time.Hour), Once: true, Rate: 5,
	}, cfg.Consumers["much"])
	require.Empty(t, cfg.Consumers["closed"].Env)
}

func TestExecConfigErrors(t *testing.T) {
	for text, want := range map[string]string{
		"consumers:\n  a:\n    kind: exec\n":                                       `:3:9: consumers.a.command: it is empty: name a program by its absolute path`,
		"consumers:\n  a:\n    kind: exec\n    command: []\n":                      `:4:14: consumers.a.command: it is empty`,
		"consumers:\n  a:\n    kind: exec\n    command: [thumbnail]\n":             `:4:14: consumers.a.command: the program has no absolute path`,
		"consumers: {a: {kind: exec, command: thumbnail --size=512}}\n":            `:1:38: string was used where sequence is expected`,
		"consumers: {a: {kind: exec, command: [/a, \"b\\0c\"]}}\n":                 `an argument holds a NUL byte`,
		"consumers: {a: {kind: exec, command: [/a], env: [A-B]}}\n":                `consumers.a.env: one of them is no name of a variable`,
		"consumers: {a: {kind: exec, command: [/a], env: [HOOKSPAN_MODEL]}}\n":     `HOOKSPAN_MODEL is set for each event`,
		"consumers: {a: {kind: exec, command: [/a], store: \"file:///srv\"}}\n":    `a consumer of kind exec has no such key`,
		"consumers: {a: {kind: exec, command: [/a], concurrency: 257}}\n":          `consumers.a.concurrency: it is 257: use at most 256`,
		"consumers: {a: {kind: archive, command: [/a]}}\n":                         `a consumer of kind archive has no such key`,
		"consumers: {a: {kind: exec, command: [/a], env: [TOKEN=" + secret + "]}}": `no name of a variable`,
		"consumers: {a: {kind: exec, command: [" + secret + "]}}":                  `no absolute path`,
	} {
		_, err := load(write(t, text))
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), secret)
	}
}

// From a webhook to a command, which sees the body and no secret of the bridge.
func TestWebhookRunsACommand(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	left := filepath.Join(dir, "hookspan-data", "exec", "sizes", "attempt-1")
	require.NoError(t, os.MkdirAll(left, 0o700))
	p := serve(t, dir, strings.ReplaceAll(smallConfig, "consumers: {archive: {enabled: false}}", "")+`
consumers:
  sizes:
    kind: exec
    start: all
    command: [/bin/sh, -c, 'cat >"$1/body"; pwd >"$1/pwd"; cat /proc/$$/environ >"$1/x"; mv "$1/x" "$1/environ"', sh, "`+out+`"]
`)
	require.NoDirExists(t, left)
	status, text := p.post(documented)
	require.Equal(t, 200, status, text)
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(out, "environ"))
		return err == nil
	}, patience, 10*time.Millisecond, p.logs)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(out, name))
		require.NoError(t, err)
		return string(text)
	}
	require.Equal(t, documented, read("body")) //nolint:testifylint // byte for byte, not JSON for JSON
	require.Equal(t, filepath.Join(dir, "hookspan-data", "exec", "sizes"), filepath.Dir(strings.TrimSpace(read("pwd"))))
	environ := read("environ")
	require.Contains(t, environ, "HOOKSPAN_PREDICTION_ID=pred_abc123\x00")
	require.Contains(t, environ, "HOOKSPAN_CONSUMER=sizes\x00")
	require.Contains(t, "\x00"+environ, "\x00PATH=")
	require.NotContains(t, environ, secret)
	require.NotContains(t, environ, asHookspan)
	require.Equal(t, 0, p.stop(), p.logs)
	require.NotContains(t, p.logs.String(), secret)
	list, err := os.ReadDir(filepath.Dir(left))
	require.NoError(t, err)
	require.Empty(t, list)
}
