package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/freeport"
)

// Every command about simulate in the documentation works with the configuration there, and
// prints what is shown below it.
func TestSimulateDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	require.NoError(t, err)
	_, page, found := strings.Cut(string(text), "\n## simulate\n")
	require.True(t, found)
	page, _, _ = strings.Cut(page, "\n## ")
	yaml, shown, commands := "", "", []string(nil)
	for _, block := range fenced.FindAllStringSubmatch(page, -1) {
		switch block[1] {
		case "yaml":
			yaml += block[2]
		case "sh":
			commands = append(commands, strings.Split(strings.TrimSpace(block[2]), "\n")...)
		case "":
			shown = block[2]
		}
	}
	require.Len(t, commands, 3)
	port, err := freeport.Next()
	require.NoError(t, err)
	trial := strings.NewReplacer("8091", strconv.Itoa(port), "env:RUNPOD_API_KEY", "env:GET3W_WEBHOOK_SECRET")

	p := serveHere(t, simulatedConfig+trial.Replace(yaml)+"  get3w: {secrets: [env:GET3W_WEBHOOK_SECRET]}\n")
	for i, line := range commands {
		words := strings.Fields(trial.Replace(line))
		require.Equal(t, []string{"hookspan", "simulate"}, words[:2])
		code, stdout, stderr := runVerb(append(words[1:], "--config", filepath.Join(p.dir, "hookspan.yaml"), "--wait", "2m")...)
		require.Equal(t, exitDone, code, "%s\n%s\n%s", line, stdout, stderr)
		if i == 0 {
			require.Equal(t, eachTime(shown), eachTime(stdout))
			continue
		}
		if i == 2 {
			require.Regexp(t, `dropped +10 +never sent`, stdout)
			require.Regexp(t, `found by asking +10 `, stdout)
		}
		require.Regexp(t, `outputs +\d+ +\d+ archived, \d+ given up, 0 waiting`, stdout)
	}
	for _, flag := range regexp.MustCompile("`(--[a-z-]+)").FindAllStringSubmatch(page, -1) {
		_, help, _ := runVerb("simulate", "--help")
		require.Contains(t, help, flag[1])
	}
	require.Equal(t, 0, p.stop(), p.logs)
}

// eachTime cuts what differs from run to run: the id, how long it took, and which of two that come
// at the same time the bridge takes for the copy.
func eachTime(text string) string {
	text = regexp.MustCompile(`run sim_\w+ `).ReplaceAllString(text, "run ID ")
	text = regexp.MustCompile(`(200 (?:duplicate|stored)) +\d+`).ReplaceAllString(text, "$1")
	return regexp.MustCompile(`(seed 7, ).*`).ReplaceAllString(text, "$1")
}
