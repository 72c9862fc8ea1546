package config

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaultArchiveStays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                               {"archive"},
		"consumers: {}\n":                {"archive"},
		"consumers: {a: {kind: pull}}\n": {"a", "archive"},
		"consumers: {archive: {store: \"file:///srv\"}}\n":                      {"archive"},
		"consumers: {archive: {enabled: false}}\n":                              nil,
		"consumers: {archive: {enabled: false}, a: {kind: pull}}\n":             {"a"},
		"consumers: {a: {kind: pull, enabled: false}}\n":                        {"archive"},
		"consumers: {archive: {kind: exec, command: [/bin/true]}}\n":            {"archive"},
		"consumers: {a: {enabled: false}, b: {kind: old, enabled: false}}\n":    {"archive"},
		"consumers:\n  archive:\n":                                              {"archive"},
		"consumers: {a: &x {kind: pull, lease: 1m}, b: *x}\n":                   {"a", "archive", "b"},
		"consumers: {a: &x {kind: pull, lease: 1m}, b: {<<: *x, start: all}}\n": {"a", "archive", "b"},
		"consumers: {a: {kind: pull, enabled: true}}\nroles: [admin]\n":         {"a", "archive"},
	} {
		cfg, err := Load(write(t, text))
		require.NoError(t, err, text)
		require.Equal(t, want, slices.Sorted(maps.Keys(cfg.Consumers)), text)
	}
	for text, want := range map[string]string{
		"consumers: {archive: {enabled: perhaps}}\n": ":1:32: a value of another type belongs here",
		"consumers: {a: {enabled: perhaps}}\n":       ":1:26: a value of another type belongs here",
		"consumers:\n  a:\n":                         ":2:6: consumers.a.kind: use archive, exec, forward, pull",
		"consumers: {a: {lease: 1m}}\n":              "consumers.a.kind: use archive, exec, forward, pull",
		"consumers: {a: [pull]}\n":                   "hookspan.yaml:1:",
		"consumers: [a]\n":                           "hookspan.yaml:1:",
		"consumers: {a: {kind: [pull]}}\n":           ":1:23: a value of another type belongs here",
	} {
		_, err := Load(write(t, text))
		require.ErrorContains(t, err, want, text)
	}
}
