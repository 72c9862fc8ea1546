package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestExecConfig(t *testing.T) {
	t.Parallel()
	cfg, err := Load(write(t, `
consumers:
  little: {kind: exec, command: [/bin/true]}
  much: {kind: exec, command: [/bin/echo, "--size=512", ""], env: [PATH, AWS_SECRET_ACCESS_KEY], concurrency: 9, timeout: 1h, once: true, rate: 5/s}
  closed: {kind: exec, command: [/bin/true], env: []}
`))
	require.NoError(t, err)
	require.Equal(t, &Exec{
		Common: Common{Kind: "exec", Start: "new"}, Attempts: Attempts{Concurrency: 2, Timeout: Duration(2 * time.Minute)},
		Command: []string{"/bin/true"}, Env: []string{"PATH", "HOME", "LANG", "LC_ALL", "TZ"},
	}, cfg.Consumers["little"])
	require.Equal(t, &Exec{
		Common: Common{Kind: "exec", Start: "new"}, Attempts: Attempts{Concurrency: 9, Timeout: Duration(time.Hour), Once: true, Rate: 5},
		Command: []string{"/bin/echo", "--size=512", ""}, Env: []string{"PATH", "AWS_SECRET_ACCESS_KEY"},
	}, cfg.Consumers["much"])
	require.Empty(t, cfg.Consumers["closed"].(*Exec).Env)
}

func TestExecConfigErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"consumers:\n  a:\n    kind: exec\n":                                             `:3:9: consumers.a.command: it is empty: name a program by its absolute path`,
		"consumers:\n  a:\n    kind: exec\n    command: []\n":                            `:4:14: consumers.a.command: it is empty`,
		"consumers:\n  a:\n    kind: exec\n    command: [thumbnail]\n":                   `:4:14: consumers.a.command: the program has no absolute path`,
		"consumers: {a: {kind: exec, command: thumbnail --size=512}}\n":                  `:1:38: string was used where sequence is expected`,
		"consumers: {a: {kind: exec, command: [/a, \"b\\0c\"]}}\n":                       `an argument holds a NUL byte`,
		"consumers: {a: {kind: exec, command: [/a], env: [A-B]}}\n":                      `consumers.a.env: one of them is no name of a variable`,
		"consumers: {a: {kind: exec, command: [/a], env: [HOOKSPAN_MODEL]}}\n":           `HOOKSPAN_MODEL is set for each event`,
		"consumers: {a: {kind: exec, command: [/a], store: \"file:///srv\"}}\n":          `a consumer of kind exec has no such key`,
		"consumers: {a: {kind: exec, command: [/a], concurrency: 257}}\n":                `consumers.a.concurrency: it is 257: use at most 256`,
		"consumers: {a: {kind: archive, command: [/a]}}\n":                               `a consumer of kind archive has no such key`,
		"consumers: {a: {kind: exec, command: [/a], env: [TOKEN=" + sampleSecret + "]}}": `no name of a variable`,
		"consumers: {a: {kind: exec, command: [" + sampleSecret + "]}}":                  `no absolute path`,
	} {
		_, err := Load(write(t, text))
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), sampleSecret)
	}
}
