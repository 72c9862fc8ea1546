package config

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultArchiveStays(t *testing.T) {
	for text, want := range map[string][]string{
		"":                               {"archive"},
		"consumers: {}\n":                {"archive"},
		"consumers: {a: {kind: pull}}\n": {"a", "archive"},
		"consumers: {archive: {store: \"file:///srv\"}}\n":              {"archive"},
		"consumers: {archive: {enabled: false}}\n":                      nil,
		"consumers: {archive: {enabled: false}, a: {kind: pull}}\n":     {"a"},
		"consumers: {a: {kind: pull, enabled: false}}\n":                {"archive"},
		"consumers: {archive: {kind: exec, command: [/bin/true]}}\n":    {"archive"},
		"consumers: {a: {kind: pull, enabled: true}}\nroles: [admin]\n": {"a", "archive"},
	} {
		cfg, err := Load(write(t, text))
		require.NoError(t, err, text)
		require.Equal(t, want, slices.Sorted(maps.Keys(cfg.Consumers)), text)
	}
	_, err := Load(write(t, "consumers: {archive: {enabled: perhaps}}\n"))
	require.ErrorContains(t, err, "a value of another type belongs here")
}
