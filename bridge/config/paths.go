package config

import (
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// Absolute makes a path absolute, so that it holds in every folder.
func Absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}

// DataDirOf returns data_dir of a file as written, "" when it is absent. It ignores the rest of
// the file, which may be in the middle of an edit while its bridge runs.
func DataDirOf(file string) (string, error) {
	text, err := readConfig(file)
	if err != nil {
		return "", err
	}
	var named struct {
		DataDir string `yaml:"data_dir"`
	}
	if err := yaml.Unmarshal(text, &named); err != nil {
		return "", (&Document{name: file}).explain(err)
	}
	return named.DataDir, nil
}
