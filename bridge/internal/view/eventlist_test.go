package view

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// The pages of any filter have exactly the events behind the horizon that it selects, and what
// went with its prediction is at or below the horizon.
func TestEventsOfTheView(t *testing.T) {
	t.Parallel()
	seed := cmp.Or(*seedFlag, rand.Uint64()) //nolint:gosec // it is shown, to be repeated
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // repeatable
	v := filled(t, t.TempDir()+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	v.cfg.Keep = time.Hour
	var msgs []message
	templates := []*bridge.Event{says(t, "x", finished), says(t, "x", running), says(t, "x", `"status":"failed","error":"no"`), archivedOf(t, says(t, "x", finished))}
	for i := range 3000 {
		e := *templates[random.IntN(len(templates))]
		which := (i + random.IntN(40)) / 8 // what is told of a prediction is told soon
		id := fmt.Sprint("p", which)
		e.PredictionID, e.ID, e.Source, e.Model = id, fmt.Sprint(id, e.ID[1:], "/", i), []string{"get3w", "other"}[random.IntN(2)], fmt.Sprint("m/", which%5)
		msgs = append(msgs, at(i+1, &e, foldtest.Noon.Add(time.Duration(i)*time.Second)))
	}
	foldDirectly(t, v, msgs)
	check := func(q EventQuery) (horizon uint64, n int) {
		var got []Event
		for q.Limit = 1 + random.IntN(200); ; {
			page, err := v.Events(t.Context(), q)
			require.NoError(t, err)
			got, horizon = append(got, page.Events...), page.Horizon
			if q.Cursor = page.Next; page.Next == "" {
				break
			}
		}
		at := 0
		for _, m := range slices.Backward(msgs) {
			if m.seq <= horizon || m.stored.Before(q.Since) || !q.Until.IsZero() && !m.stored.Before(q.Until) || !q.Filter.Match(m.event) || q.Prediction != "" && q.Prediction != m.event.PredictionID {
				continue
			}
			require.Less(t, at, len(got))
			e := got[at]
			at++
			require.Equal(t, []any{m.seq, m.event.ID, m.event.Kind(), m.event.Status, m.event.Source, m.event.PredictionID, len(m.event.Body), m.stored},
				[]any{e.Sequence, e.ID, e.Kind, e.Status, e.Source, e.Prediction, e.Bytes, e.Stored})
		}
		require.Len(t, got, at)
		return horizon, at
	}
	queries := []EventQuery{
		{},
		{Prediction: "p7"},
		{Prediction: "nobody"},
		{Filter: bridge.Filter{Event: bridge.KindArchived}},
		{Filter: bridge.Filter{Sources: []string{"other"}, Statuses: []string{"failed"}}},
		{Filter: bridge.Filter{Model: "*/3"}},
		{Since: foldtest.Noon.Add(20 * time.Minute), Until: foldtest.Noon.Add(30 * time.Minute)},
		{Until: foldtest.Noon},
		{Since: foldtest.Noon.AddDate(1, 0, 0)},
	}
	for _, q := range queries {
		horizon, _ := check(q)
		require.Zero(t, horizon)
	}
	for range 3 {
		_, err := v.prunePredictions(foldtest.Noon.AddDate(1, 0, 0))
		require.NoError(t, err)
		v.events().position.stored = v.events().position.stored.Add(25 * time.Minute)
		for _, q := range queries {
			check(q)
		}
	}
	horizon, n := check(EventQuery{Filter: bridge.Filter{}})
	require.NotZero(t, horizon)
	require.NotZero(t, n)
	_, err := v.Events(t.Context(), EventQuery{Cursor: "no cursor"})
	require.ErrorIs(t, err, ErrCursor)
}
