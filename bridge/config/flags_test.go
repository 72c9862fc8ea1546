package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlagsAndOnly(t *testing.T) {
	t.Parallel()
	const two = "roles: [admin]\nconsumers: {a: {kind: exec, command: [/bin/true]}, b: {kind: pull}}\n"
	for _, c := range []struct {
		text  string
		flags Flags
		runs  []string
		want  string
	}{
		{text: two, flags: Flags{}, runs: nil},
		{text: two, flags: Flags{Roles: []string{RoleConsumers}}, runs: []string{"a", "archive"}},
		{text: two, flags: Flags{Roles: []string{RoleConsumers}, Only: []string{"a"}}, runs: []string{"a"}},
		{text: "only: [archive]\n", runs: []string{"archive"}},
		{text: "only: [archive]\n" + two, want: "hookspan.yaml:1:7: only: this process runs no consumers: add the role consumers, or remove it"},
		{text: two, flags: Flags{Only: []string{"a"}}, want: "--only: this process runs no consumers: add the role consumers, or remove it"},
		{text: two, flags: Flags{Roles: []string{RoleConsumers}, Only: []string{"c"}}, want: `--only: there is no consumer "c": use some of a, archive`},
		{text: two, flags: Flags{Roles: []string{RoleConsumers}, Only: []string{"b"}}, want: "--only: consumer b is of kind pull, and its own program runs it: use some of a, archive"},
		{text: two, flags: Flags{Roles: []string{"ingres"}}, want: "--roles: one of them is not known: use ingress, consumers, reconciler, admin"},
	} {
		cfg, doc, err := LoadDocument(write(t, c.text), c.flags)
		if c.want != "" {
			require.ErrorContains(t, err, c.want)
			continue
		}
		require.NoError(t, err)
		var runs []string
		for _, name := range []string{"a", "archive", "b"} {
			if _, worker := cfg.Consumers[name].(Worker); worker && cfg.Runs(name) {
				runs = append(runs, name)
			}
		}
		require.Equal(t, c.runs, runs, c)
		shown := Text(doc.Settings(cfg), "x.yaml")
		if len(c.flags.Only) > 0 {
			require.Contains(t, shown, "roles: [consumers]  # --roles\nonly: [a]  # --only\n")
		}
	}
}
