package contracts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/contracts"
	"github.com/hookspan/hookspan/bridge/internal/contracts/contractstest"
	"github.com/hookspan/hookspan/internal/needs"
	"github.com/hookspan/hookspan/internal/streams"
)

// The document is one of AsyncAPI 3, by the schema of those who make AsyncAPI.
func TestDocumentIsValid(t *testing.T) {
	t.Parallel()
	needs.Programs(t, "npm")
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "node"))))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	require.NoError(t, err, "this test needs npm (apt-get install npm), and its registry: %s", out)

	text, err := os.ReadFile(filepath.Join(dir, "node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"))
	require.NoError(t, err)
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("asyncapi.json", schema))
	valid, err := compiler.Compile("asyncapi.json")
	require.NoError(t, err)
	doc, _ := contractstest.Document(t)
	validate := func(of any) error {
		text, err := json.Marshal(of)
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		return valid.Validate(value)
	}
	require.NoError(t, validate(doc))
	doc["channels"].(contractstest.Node)["alarms"].(contractstest.Node)["subject"] = "hookspan.alarms"
	require.Error(t, validate(doc), "it is not what the schema looks at")
}

// Each reference leads somewhere, and nothing is there that nothing refers to.
func TestDocumentIsTidy(t *testing.T) {
	t.Parallel()
	doc, resolve := contractstest.Document(t)
	used := map[string]bool{}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case []any:
			for _, item := range node {
				walk(item)
			}
		case contractstest.Node:
			if ref, is := node["$ref"].(string); is {
				used[ref] = true
				if name, file := strings.CutPrefix(ref, "./schemas/"); file {
					require.Contains(t, contracts.Schemas(), strings.TrimSuffix(name, ".json"))
				} else {
					resolve(node)
				}
			}
			for _, item := range node {
				walk(item)
			}
		}
	}
	walk(doc)
	for kind, components := range doc["components"].(contractstest.Node) {
		for name := range components.(contractstest.Node) {
			require.True(t, used["#/components/"+kind+"/"+name], "%s %s is not used", kind, name)
		}
	}
	for name := range doc["channels"].(contractstest.Node) {
		require.True(t, used["#/channels/"+name], "no operation uses %s", name)
	}
	for name := range contracts.Schemas() {
		text := "schemas/" + name + ".json"
		require.True(t, used["./"+text] || bytes.Contains(contracts.AsyncAPI, []byte("`"+text+"`")), "nothing speaks of %s", text)
	}
}

// The streams are those of a bridge, each channel's subject is one that its stream stores, and each
// stream of messages has a channel.
func TestDocumentHasTheStreams(t *testing.T) {
	t.Parallel()
	subjects, documented := map[string][]string{}, map[string]bool{}
	for _, s := range (streams.Config{}).All() {
		subjects[s.Name] = s.Subjects
	}
	doc, _ := contractstest.Document(t)
	for name, part := range doc["channels"].(contractstest.Node) {
		stream, stored := part.(contractstest.Node)["x-stream"].(string)
		if !stored {
			continue
		}
		documented[stream] = true
		address := part.(contractstest.Node)["address"].(string)
		first := regexp.MustCompile(`^hookspan\.[a-z]+\.`).FindString(address)
		require.Contains(t, subjects[stream], first+">", name)
	}
	for name := range subjects { // buckets, and what NATS itself tells, are the bridge's own
		require.Equal(t, !strings.HasPrefix(name, "KV_") && name != (bridge.Names{}).AdvisoriesStream(), documented[name], name)
	}
}

// A message that is not as the document says is told from one that is.
func TestCheckFindsWhatIsNotDocumented(t *testing.T) {
	t.Parallel()
	contract := contractstest.New(t)
	alarm, err := json.Marshal(bridge.Alarm{Kind: bridge.AlarmClock, Text: "x", Time: time.Now()})
	require.NoError(t, err)
	header := map[string][]string{bridge.HeaderMsgID: {"a"}}
	for name, c := range map[string]struct {
		subject, says string
		header        map[string][]string
		payload       string
	}{
		"as documented":   {"hookspan.alarms.clock", "", header, string(alarm)},
		"another subject": {"hookspan.alarm.clock", "0 channels", header, string(alarm)},
		"another token":   {"hookspan.alarms.clock.x", "0 channels", header, string(alarm)},
		"another header":  {"hookspan.alarms.clock", "additional properties 'hookspan-new' not allowed", map[string][]string{bridge.HeaderMsgID: {"a"}, "hookspan-new": {"b"}}, string(alarm)},
		"no header":       {"hookspan.alarms.clock", "missing property 'Nats-Msg-Id'", nil, string(alarm)},
		"another member":  {"hookspan.alarms.clock", "additional properties 'new' not allowed", header, strings.Replace(string(alarm), "{", `{"new":1,`, 1)},
		"another kind":    {"hookspan.alarms.clock", "value must be one of", header, strings.Replace(string(alarm), "clock", "weather", 1)},
		"no JSON":         {"hookspan.alarms.clock", "payload", header, "x"},
		"no attributes":   {"hookspan.events.get3w.prediction.erased.m", "headers", header, "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := contract.Check(c.subject, c.header, []byte(c.payload))
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}
