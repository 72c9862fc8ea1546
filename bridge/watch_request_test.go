package bridge

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWatchRequestIsReadStrictly(t *testing.T) {
	t.Parallel()
	r, err := ParseWatchRequest([]byte(`{"prediction":"a/b","deadline":"2026-01-31T12:00:00Z","metadata":{"order":"7"}} `))
	require.NoError(t, err)
	w := r.Watch("get3w")
	require.Equal(t, Watch{
		Source: "get3w", Prediction: "a/b", Deadline: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Metadata: map[string]string{"order": "7"},
	}, w)
	for _, wrong := range []string{``, `null`, `[]`, `{"submitted":true}`, `{"source":"other"}`, `{} {}`, `{"deadline":"soon"}`} {
		_, err := ParseWatchRequest([]byte(wrong))
		require.Error(t, err, wrong)
	}
}

func TestProgressIsBounded(t *testing.T) {
	t.Parallel()
	p, err := ParseProgress([]byte(`{"status":"processing","progress":0.25,"at":"2026-01-31T12:00:00Z"}`))
	require.NoError(t, err)
	require.InDelta(t, 0.25, p.Progress, 0)
	for text, want := range map[string]float64{`{"progress":-1}`: 0, `{"progress":1e300}`: 1, `{}`: 0} {
		p, err := ParseProgress([]byte(text))
		require.NoError(t, err)
		require.InDelta(t, want, p.Progress, 0)
	}
	p, err = ParseProgress([]byte(`{"status":"` + strings.Repeat("x", 1000) + `"}`))
	require.NoError(t, err)
	require.LessOrEqual(t, len(p.Status), MaxStatus)
	for _, wrong := range []string{``, `7`, `{"progress":"half"}`, `{"status":"` + strings.Repeat("x", MaxProgress) + `"}`} {
		_, err := ParseProgress([]byte(wrong))
		require.Error(t, err, wrong)
	}
}
