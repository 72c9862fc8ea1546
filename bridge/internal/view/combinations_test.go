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

// The pages of any combination of filters have exactly what it selects, each once and in
// order, also while newer predictions come.
func TestEveryCombinationOfFilters(t *testing.T) {
	t.Parallel()
	seed := cmp.Or(*seedFlag, rand.Uint64()) //nolint:gosec // it is shown, to be repeated
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // repeatable
	r := newRig(t)
	v := filled(t, r.dir+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	one := func(values ...string) string { return values[random.IntN(len(values))] }
	limits := []int{0, 3, 20, 1000}
	templates := []*bridge.Event{says(t, "x", finished), says(t, "x", running), says(t, "x", `"status":"failed","error":"no"`)}
	for _, reference := range []string{"", "r1", "r2"} {
		for _, tenant := range []string{"", "t1"} {
			templates = append(templates, watched(t, "x", bridge.Watch{Reference: reference, Tenant: tenant}))
		}
	}
	seq := 0
	grow := func(n int) {
		var msgs []message
		for range n {
			seq++
			e := *templates[random.IntN(len(templates))]
			e.PredictionID, e.Source, e.Model = fmt.Sprint("p", seq), one("get3w", "other", "third"), fmt.Sprint("m/", random.IntN(90))
			m := message{seq: uint64(seq), stored: foldtest.Noon.Add(time.Duration(seq) * time.Second), event: &e} //nolint:gosec // positive
			m.at.Sequence, m.at.StoredAt = m.seq, m.stored
			msgs = append(msgs, m)
		}
		foldDirectly(t, v, msgs)
	}
	grow(600)
	var known []Row
	for q := (Query{Limit: maxLimit}); ; {
		page, next, err := v.Predictions(t.Context(), q)
		require.NoError(t, err)
		known = append(known, page...)
		if q.Cursor = next; next == "" {
			break
		}
	}
	require.Len(t, known, 600)
	slices.Reverse(known)
	for i, row := range known {
		require.Equal(t, fmt.Sprint("p", i+1), row.State.ID)
	}
	for range 80 {
		q := Query{
			Source: one("", "", "get3w", "other", "nobody"), Status: one("", "", "completed", "processing", "failed", "none"),
			Model: one("", "", "m/7", "m/*", "*7", "m/1*", "*/8*", "nope", "*zz"), Reference: one("", "", "r1", "r9"), Tenant: one("", "", "t1"),
			Open: random.IntN(2) == 0, Limit: limits[random.IntN(len(limits))],
		}
		if random.IntN(2) == 0 {
			q.Since = foldtest.Noon.Add(time.Duration(random.IntN(600)) * time.Second)
		}
		last := len(known)
		if random.IntN(2) == 0 {
			q.Until = foldtest.Noon.Add(time.Duration(random.IntN(600)) * time.Second)
		}
		var want, got []string
		for _, row := range slices.Backward(known) {
			s := row.State
			a := cmp.Or(s.Announced, &bridge.Announced{})
			if (q.Source == "" || q.Source == s.Source) && (q.Status == "" || q.Status == s.Status) && (q.Model == "" || matches(q.Model, s.Model)) &&
				(q.Reference == "" || q.Reference == a.Reference) && (q.Tenant == "" || q.Tenant == a.Tenant) && (!q.Open || s.Open()) &&
				!s.FirstSeen.Before(q.Since) && (q.Until.IsZero() || s.FirstSeen.Before(q.Until)) {
				want = append(want, s.ID)
			}
		}
		q.Cursor = cursorOf(int64(last + 1))
		for asked := q; ; {
			page, next, err := v.Predictions(t.Context(), asked)
			require.NoError(t, err)
			for _, row := range page {
				got = append(got, row.State.ID)
			}
			if asked.Cursor = next; next == "" {
				break
			}
			grow(1)
		}
		require.Equal(t, want, got, "%+v", q)
	}
}
