package view

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func TestActivity(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", blockMessages, 1)
	defer func() { require.NoError(t, v.drop()) }()
	fine := message{seq: 2000, stored: foldtest.Noon.Add(90 * time.Minute), event: says(t, "a", finished)}
	fine.at.Sequence, fine.at.StoredAt = fine.seq, fine.stored
	known := fine
	known.seq, known.at.Sequence = 2001, 2001
	foldDirectly(t, v, []message{fine, known})
	ask := func(step time.Duration, model string) []Activity {
		out, err := v.Activity(t.Context(), ActivityQuery{From: foldtest.Noon, Until: foldtest.Noon.Add(24 * time.Hour), Step: step, Model: model, Source: "get3w", Status: "completed"})
		require.NoError(t, err)
		return out
	}
	require.Len(t, ask(time.Minute, "get3w/model-*"), 20)
	require.EqualValues(t, 50, ask(time.Hour, "get3w/model-7")[0].N)
	require.Empty(t, ask(24*time.Hour, "get3w/*"), "the day began before")
	got := ask(time.Minute, "get3w/flux-dev")
	require.Equal(t, []Activity{{
		Start: foldtest.Noon.Add(90 * time.Minute), Source: "get3w", Model: "get3w/flux-dev", Status: "completed", N: 1, // the same fact counts once
		Queued: Lag{1, time.Second}, Inference: Lag{1, 2 * time.Second}, Webhook: Lag{1, foldtest.Noon.Sub(foldtest.Noon.Add(-time.Hour + 3*time.Second))},
	}}, got)
	whole, err := v.Activity(t.Context(), ActivityQuery{Until: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Step: 24 * time.Hour})
	require.NoError(t, err)
	require.Len(t, whole, 21, "whatever times are asked for")
	_, err = v.Activity(t.Context(), ActivityQuery{Step: time.Second})
	require.Error(t, err)

	require.NoError(t, v.pruneActivity(foldtest.Noon.Add(keepActivity+time.Hour)))
	require.Empty(t, ask(time.Minute, "get3w/model-7"))
	require.Len(t, ask(time.Minute, "get3w/flux-dev"), 1)
}
