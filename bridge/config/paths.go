package config

import (
	"path/filepath"
)

// absolute is the path from whatever folder.
func Absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return abs
}
