package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/internal/needs"
)

// noRule are the kinds of alarms that no alert rule names, and why.
var noRule = map[string]string{
	bridge.AlarmConnection:         "the connection is made again at once, and journal_behind follows when it is not",
	bridge.AlarmClock:              "it is over when it is told: a matter for the machine's own rules of its time",
	bridge.AlarmQuota:              "a program of another team is held back, and nothing of the bridge",
	bridge.AlarmIDTaken:            "nothing is lost, and nobody need act tonight",
	bridge.AlarmConsumerChanged:    "the bridge has changed the durable back",
	bridge.AlarmConsumerNarrowed:   "somebody has just changed the configuration, and the log tells them",
	bridge.AlarmPredictionConflict: "consumers got both; a matter for the provider",
	bridge.AlarmViewBehind:         "the view yields to accepting, and catches up",
}

type alertRules struct {
	Groups []struct {
		Rules []struct {
			Alert, Expr string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", filepath.FromSlash(name)))
	require.NoError(t, err)
	return string(text)
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	require.NoError(t, err)
	return string(text)
}

// Every rule has its words and a heading of the runbook, and every kind of alarm has a rule or a
// reason.
func TestAlertRulesNameEveryAlarm(t *testing.T) {
	t.Parallel()
	var rules alertRules
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(deployFile(t, "prometheus/alerts.yaml")), &rules, yaml.UseJSONUnmarshaler()))
	const page = "https://github.com/hookspan/hookspan/blob/main/docs/runbook.md#"
	headings, kinds, alerts := map[string]bool{}, map[string]bool{}, 0
	for _, found := range regexp.MustCompile(`(?m)^### (\w+)$`).FindAllStringSubmatch(document(t, "runbook.md"), -1) {
		require.False(t, headings[strings.ToLower(found[1])], "%s stands twice", found[1])
		headings[strings.ToLower(found[1])] = true
	}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			alerts++
			require.Contains(t, []string{"critical", "warning"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
			anchor, ok := strings.CutPrefix(rule.Annotations["runbook_url"], page)
			require.True(t, ok, rule.Alert)
			if found := regexp.MustCompile(`kind=~"([a-z_|]+)"`).FindStringSubmatch(rule.Expr); found != nil {
				require.Equal(t, "{{ $labels.kind }}", anchor, rule.Alert)
				for kind := range strings.SplitSeq(found[1], "|") {
					require.Contains(t, bridge.AlarmKinds, kind, rule.Alert)
					require.False(t, kinds[kind], "%s has two rules", kind)
					kinds[kind] = true
				}
				continue
			}
			require.Equal(t, strings.ToLower(rule.Alert), anchor)
			require.True(t, headings[anchor], "docs/runbook.md has no heading for the rule %s", rule.Alert)
		}
	}
	require.NotZero(t, alerts)
	for _, kind := range bridge.AlarmKinds {
		require.True(t, headings[kind], "docs/runbook.md has no heading for the alarm %s: say what it costs, where to look and what to do", kind)
		require.NotEqual(t, kinds[kind], noRule[kind] != "", "the alarm %s needs a rule in deploy/prometheus/alerts.yaml, or a reason here why it has none", kind)
	}
}

var metricName = regexp.MustCompile(`\bhookspan_[a-z0-9_]+`)

// What the board and the rules ask for is in the table of metrics, which TestMetricsAreDocumented
// holds to what is exposed.
func TestBoardAndRulesNameMetricsThatExist(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, found := range regexp.MustCompile("(?m)^\\| `(hookspan_[a-z0-9_]+)[^|]*\\| (\\w+) \\|").FindAllStringSubmatch(document(t, "operations.md"), -1) {
		documented[found[1]] = true
		if found[2] == "histogram" {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				documented[found[1]+suffix] = true
			}
		}
	}
	var board struct {
		Panels []struct {
			Title, Description string
			Targets            []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(deployFile(t, "grafana/hookspan.json")), &board))
	require.LessOrEqual(t, len(board.Panels), 12)
	asked := deployFile(t, "prometheus/alerts.yaml")
	for _, panel := range board.Panels {
		require.NotEmpty(t, panel.Description, panel.Title)
		require.NotEmpty(t, panel.Targets, panel.Title)
		for _, target := range panel.Targets {
			asked += target.Expr + "\n"
		}
	}
	var variables []string
	for _, v := range board.Templating.List {
		variables, asked = append(variables, v.Name), asked+v.Definition+"\n"
	}
	require.Subset(t, variables, []string{"datasource", "source", "consumer"})
	names := metricName.FindAllString(asked, -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.True(t, documented[name], "%s is not in the table of docs/operations.md", name)
	}
}

func TestPromtoolChecksTheRules(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "promtool")
	dir := filepath.Join("..", "..", "deploy", "prometheus")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command("promtool", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}

// The commands of the runbook are verbs and flags that exist.
func TestCommandsOfTheRunbookExist(t *testing.T) {
	t.Parallel()
	found := regexp.MustCompile("`(?:\\$ )?hookspan ([^`]+)`|(?m)^hookspan ([^#\n]+)").FindAllStringSubmatch(document(t, "runbook.md"), -1)
	require.NotEmpty(t, found)
	var c cli
	parser, err := kong.New(&c, kong.Name("hookspan"))
	require.NoError(t, err)
	var wrong []string
	for _, f := range found {
		line := f[1] + f[2]
		var args []string
		for word := range strings.FieldsSeq(line) {
			word = strings.Trim(word, "'")
			if word == "N" {
				word = "1"
			}
			args = append(args, word)
		}
		if last := args[len(args)-1]; last == "--since" {
			args = append(args, "2h")
		} else if last == "--url" {
			args = append(args, "http://127.0.0.1/")
		} else if last == "seek" {
			args = append(args, "NAME", "--first")
		}
		if _, err := parser.Parse(args); err != nil {
			wrong = append(wrong, "hookspan "+line+": "+err.Error())
		}
	}
	require.Empty(t, wrong)
}
