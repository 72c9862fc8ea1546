package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/config"
)

// The chart's own values fit its schema, which finds what is mistyped, and its files are there.
// make deploy-test holds its objects against the schemas of Kubernetes.
func TestChart(t *testing.T) {
	t.Parallel()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(deployFile(t, "helm/hookspan/values.schema.json"))))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("values.json", doc))
	schema, err := compiler.Compile("values.json")
	require.NoError(t, err)
	judge := func(values string) error {
		text, err := yaml.YAMLToJSON([]byte(values))
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		return schema.Validate(value)
	}
	values := deployFile(t, "helm/hookspan/values.yaml")
	require.NoError(t, judge(values))
	for _, wrong := range []string{"replicas: 3", "existingSecret: 1", "roles: {ingress: {replicas: -1}}", "persistence: {size: big}", "terminationGracePeriodSeconds: 30"} {
		require.Error(t, judge(wrong), wrong)
	}

	var chart struct {
		Config map[string]any
	}
	require.NoError(t, yaml.Unmarshal([]byte(values), &chart))
	text, err := yaml.Marshal(chart.Config)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "hookspan.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	_, err = config.Load(file)
	require.NoError(t, err)

	for _, name := range []string{"monitoring.yaml", "config.yaml"} {
		got := regexp.MustCompile(`\.Files\.Get "([^"]+)"`).FindAllStringSubmatch(deployFile(t, "helm/hookspan/templates/"+name), -1)
		require.NotEmpty(t, got)
		for _, found := range got {
			require.NotEmpty(t, deployFile(t, "helm/hookspan/"+found[1]))
		}
	}
}
