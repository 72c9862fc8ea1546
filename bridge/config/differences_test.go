package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRestartKeys(t *testing.T) {
	t.Parallel()
	running, err := Load(write(t, ""))
	require.NoError(t, err)
	for text, want := range map[string][]string{
		"":                                   nil,
		"sources: {get3w: {query: [ref]}}\n": nil,
		"roles: [ingress]\ndata_dir: /x\n":   {"roles", "data_dir"},
		"ingress: {listen: \":1\", max_in_flight: 1}\nadmin: {listen: \":2\"}\n":                  {"ingress.listen", "ingress.max_in_flight", "admin.listen"},
		"nats: {listen: \"\", events: {max_age: 3h}}\n":                                           {"nats.listen", "nats.events.max_age"},
		"consumers: {archive: {enabled: false}}\n":                                                {"consumers.archive"},
		"consumers: {archive: {kind: archive, start: new}, b: {kind: archive, store: file:///x}}": {"consumers.archive.start", "consumers.b"},
	} {
		next, err := Load(write(t, text))
		require.NoError(t, err)
		require.Equal(t, want, RestartKeys(running, next), text)
		require.Empty(t, RestartKeys(next, next))
	}
}
