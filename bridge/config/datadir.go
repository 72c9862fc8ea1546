package config

import (
	"github.com/goccy/go-yaml"
)

// dataDirOf returns data_dir of a configuration as it stands there, "" when it is absent.
// It does not look at the rest of the file, which may be in the middle of an edit while
// its bridge runs.
func DataDirOf(file string) (string, error) {
	text, err := readConfig(file)
	if err != nil {
		return "", err
	}
	var named struct {
		DataDir string `yaml:"data_dir"`
	}
	if err := yaml.Unmarshal(text, &named); err != nil {
		return "", (&document{name: file}).explain(err)
	}
	return named.DataDir, nil
}
