package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// validator checks the text of a file as an editor does: with the schema alone.
func validator(t *testing.T) func(text string) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("hookspan.schema.json", doc))
	compiled, err := compiler.Compile("hookspan.schema.json")
	require.NoError(t, err)
	return func(text string) error {
		var file any
		require.NoError(t, yaml.Unmarshal([]byte(text), &file), text)
		if file == nil {
			file = map[string]any{}
		}
		asJSON, err := json.Marshal(file)
		require.NoError(t, err, text)
		file, err = jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		require.NoError(t, err)
		return compiled.Validate(file)
	}
}

// Every configuration in the documents is one that an editor takes.
func TestSchemaTakesTheDocuments(t *testing.T) {
	t.Parallel()
	validate := validator(t)
	files, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	require.NoError(t, err)
	found := 0
	for _, name := range append(files, filepath.Join("..", "..", "README.md")) {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, one := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
			found++
			require.NoError(t, validate(one[1]), "%s:\n%s", name, one[1])
		}
	}
	require.NotZero(t, found)
}

func TestSchema(t *testing.T) {
	t.Parallel()
	validate := validator(t)
	for _, text := range []string{
		"", "consumers: {archive: {enabled: false}}\n", "consumers: {archive: {parallel: 2}}\n", "consumers: {archive: {kind: exec, command: [/bin/true]}}\n",
		"ingress: {max_body: 1048576, deadline: 2.5s, rate_per_address: 0, shutdown_delay: 0}\n", "nats: {url: \"nats://x\", replicas: 3, events: {max_bytes: 10 GB}}\n",
		"consumers: {a: {kind: pull, start: 2026-01-31T15:04:05Z, filter: {source: [a, b], status: \"*\"}}}\n",
	} {
		require.NoError(t, validate(text), text)
		_, err := Load(write(t, text))
		require.NoError(t, err, text)
	}
	for _, text := range []string{
		"[]\n", "data_dirs: x\n", "roles: [console]\n", "log: {level: loud}\n", "log: {format: xml}\n", "ingress: {deadline: 5}\n", "ingress: {max_body: big}\n",
		"ingress: {max_body: -1}\n", "ingress: {max_in_flight: many}\n", "ingress: {rate_per_address: 50/d}\n", "ingress: {tls: {crt: x}}\n", "nats: {replicas: 9}\n",
		"nats: {provision: later}\n", "sources: {Get3W: {}}\n", "sources: {a: {kind: gitlab}}\n", "sources: {a: {secrets: [word]}}\n", "sources: {a: {secrets: env:A}}\n",
		"consumers: {A: {kind: pull}}\n", "consumers: {a: {}}\n", "consumers: {a: {kind: bogus}}\n", "consumers: {a: {kind: pull, concurrency: 2}}\n",
		"consumers: {a: {kind: pull, start: yesterday}}\n", "consumers: {a: {kind: pull, filter: {event: outputs.lost}}}\n", "consumers: {a: {kind: exec}}\n",
		"consumers: {a: {kind: exec, command: a b}}\n", "consumers: {a: {kind: forward, secret: env:A}}\n", "consumers: {archive: {command: [/a]}}\n",
		"consumers: {a: {kind: forward, url: \"https://x\", secret: whsec_x}}\n", "consumers: {a: {kind: forward, url: \"https://x\", secret: env:A, mode: batch}}\n",
	} {
		require.Error(t, validate(text), text)
		_, err := Load(write(t, text))
		require.Error(t, err, text)
	}
}

// The schema has the keys that are decoded, and no other.
func TestSchemaAndDecoderAgreeOnKeys(t *testing.T) {
	t.Parallel()
	validate := validator(t)
	// check looks at a key below others; kind is that of the consumer on the way.
	check := func(path []string, kind, key string, known bool) {
		var value any
		for depth, name := range slices.Backward(append(slices.Clone(path), key)) {
			outer := map[string]any{}
			if depth == 2 && kind != "" {
				outer["kind"] = kind
			}
			outer[name] = value
			value = outer
		}
		text, err := json.Marshal(value)
		require.NoError(t, err)
		cfg := defaults()
		seen, decoded := fmt.Sprint(validate(string(text))), fmt.Sprint((&Document{name: "f"}).decode(text, cfg))
		if wrong, ok := cfg.Consumers["a"].(*invalid); ok {
			decoded += fmt.Sprint(wrong.problems)
		}
		require.Equal(t, known, !strings.Contains(seen, "additional properties '"+key+"' not allowed"), "%s: %s", text, seen)
		require.Equal(t, known, !strings.Contains(decoded, "not a key here") && !strings.Contains(decoded, "no such key"), "%s: %s", text, decoded)
	}
	var walk func(path []string, kind string, typ reflect.Type)
	walk = func(path []string, kind string, typ reflect.Type) {
		check(path, kind, "bogus", false)
		for _, f := range reflect.VisibleFields(typ) {
			key := f.Tag.Get("yaml")
			if f.Anonymous || key == "-" || key == "kind" && kind != "" {
				continue
			}
			check(path, kind, key, true)
			if f.Type.Kind() == reflect.Struct {
				walk(append(slices.Clone(path), key), kind, f.Type)
			}
		}
	}
	walk(nil, "", reflect.TypeFor[Config]())
	walk([]string{"sources", "a"}, "", reflect.TypeFor[Source]())
	for kind, empty := range kinds {
		path := []string{"consumers", "a"}
		walk(path, kind, reflect.TypeOf(empty()).Elem())
		for _, other := range kinds {
			for key := range keysOf(other()) {
				check(path, kind, key, keysOf(empty())[key] || key == "kind")
			}
		}
	}
}
