package poller

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/source"
	"github.com/hookspan/hookspan/internal/adminapi"
)

// A person learns what the provider says. The end has the query parameters of the announcement, as
// one that the leader polled for.
func TestAPersonAsks(t *testing.T) {
	t.Parallel()
	src, err := source.New(source.Config{Name: "get3w", Kind: "get3w"})
	require.NoError(t, err)
	state := &bridge.PredictionState{Source: "get3w", ID: "a", Announced: &bridge.Announced{Reference: "order 7"}}
	for name, c := range map[string]struct {
		provider fakeProvider
		result   adminapi.PollResult
		said     string
		err      string
	}{
		"ended":     {says(`"status":"completed","outputs":["https://cdn.example.com/a.png"]`), adminapi.PollEnded, "completed", ""},
		"open":      {says(`"status":"Warming up"`), adminapi.PollOpen, "Warming up", ""},
		"not found": {fails(errUnknownThere), adminapi.PollNotFound, "", ""},
		"away":      {fails(errors.New("no route")), "", "", "no route"},
		"another":   {func(context.Context, string) ([]byte, error) { return []byte(`{"id":"b","status":"completed"}`), nil }, "", "", `about prediction "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			result, said, end, err := Ask(t.Context(), "a", SourceConfig{Source: src, Provider: c.provider, Query: []string{"ref"}}, state)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.result, result)
			require.Equal(t, c.said, said)
			if c.result != adminapi.PollEnded {
				require.Nil(t, end)
				return
			}
			require.Equal(t, bridge.OriginPoll, end.Origin)
			require.Equal(t, map[string]string{"ref": "order 7"}, end.Query)
		})
	}
	_, _, end, err := Ask(t.Context(), "a", SourceConfig{Source: src, Provider: says(`"status":"failed"`), Query: []string{"ref"}}, nil)
	require.NoError(t, err)
	require.Empty(t, end.Query)
}
