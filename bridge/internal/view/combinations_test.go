package view

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
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
	const life = 100 * 365 * 24 * time.Hour
	now := time.Now()
	v := filled(t, r.dir+"/view.db", 0, 1, func(c *Config) {
		c.Life = func(string) time.Duration { return life }
		c.Due = func(s *bridge.PredictionState) time.Time {
			if len(s.ID)%2 == 0 {
				return now.Add(time.Hour)
			}
			return s.FirstSeen
		}
	})
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
	dead := v.deadStream()
	stood := map[string][]Standing{}
	grow := func(n int) {
		var msgs []message
		var heard []told
		for range n {
			seq++
			e := *templates[random.IntN(len(templates))]
			e.PredictionID, e.Source, e.Model = fmt.Sprint("p", seq), one("get3w", "other", "third"), fmt.Sprint("m/", random.IntN(90))
			e.Origin = one(bridge.OriginWebhook, bridge.OriginPoll)
			e.ID = e.PredictionID + "/" + e.Status
			m := message{seq: uint64(seq), stored: foldtest.Noon.Add(time.Duration(seq) * time.Second), event: &e} //nolint:gosec // positive
			m.at.Sequence, m.at.StoredAt = m.seq, m.stored
			msgs = append(msgs, m)
			for _, consumer := range []string{"billing", "mail"} {
				letter, verdict := random.IntN(4) == 0, one("", "", bridge.VerdictDone, bridge.VerdictRetry, bridge.VerdictRetry, bridge.VerdictDead)
				at := foldtest.Noon.Add(time.Duration(random.IntN(2)) * 2 * time.Hour)
				if verdict != "" {
					heard = append(heard, told{consumer, bridge.Attempt{Event: e.ID, Sequence: m.seq, At: at, Verdict: verdict, Error: "no"}})
				}
				if letter { // some before their event is folded
					d := DeadLetter{Sequence: m.seq*2 + uint64(len(consumer)%2), Consumer: consumer, Stored: foldtest.Noon.Add(time.Hour), Source: e.Source, Prediction: e.PredictionID, Event: e.ID}
					require.NoError(t, v.write(func(c *conn) error { _, err := foldDead(c, dead, block{msgs: []message{{row: &d}}}); return err }))
				}
				state := map[string]LaneState{bridge.VerdictDone: LaneHandled, bridge.VerdictRetry: LaneFailing}[verdict]
				if letter && (verdict == "" || verdict == bridge.VerdictDead || at.Equal(foldtest.Noon)) {
					state = LaneDead
				}
				stood[e.PredictionID] = append(stood[e.PredictionID], Standing{consumer, state})
			}
		}
		v.events().goal = uint64(seq) //nolint:gosec // positive
		cut := random.IntN(len(heard) + 1)
		require.NoError(t, v.foldAttempts(t.Context(), heard[:cut])) // before their events
		foldDirectly(t, v, msgs)
		require.NoError(t, v.foldAttempts(t.Context(), heard[cut:]))
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
		told := slices.DeleteFunc(slices.Clone(stood[row.State.ID]), func(s Standing) bool { return s.State == "" })
		require.ElementsMatch(t, told, row.Standings)
	}
	some := 0
	for range 100 {
		maybe := func(values ...string) string {
			if random.IntN(5) > 0 {
				return ""
			}
			return one(values...)
		}
		q := Query{
			Source: maybe("get3w", "other", "nobody"), Status: maybe("completed", "processing", "failed", "none"),
			Model: maybe("m/7", "m/*", "*7", "m/1*", "*/8*", "nope", "*zz"), Reference: maybe("r1", "r9"), Tenant: maybe("t1"),
			Open: random.IntN(6) == 0, Limit: limits[random.IntN(len(limits))],
			listed: []int{0, 5}[random.IntN(2)], IDPrefix: maybe("p", "p1", "p59", "x"), Missing: random.IntN(6) == 0,
		}
		if random.IntN(6) == 0 {
			q.ExpiresBefore = foldtest.Noon.Add(life + time.Minute)
		}
		for range random.IntN(6) - 3 {
			q.Consumers = append(q.Consumers, Standing{one("billing", "mail", "mail", "nobody"), []LaneState{LaneHandled, LaneFailing, LaneDead}[random.IntN(3)]})
		}
		if random.IntN(4) == 0 {
			q.Since = foldtest.Noon.Add(time.Duration(random.IntN(600)) * time.Second)
		}
		last := len(known)
		if random.IntN(4) == 0 {
			q.Until = foldtest.Noon.Add(time.Duration(random.IntN(600)) * time.Second)
		}
		var want, got []string
		for _, row := range slices.Backward(known) {
			s := row.State
			a := cmp.Or(s.Announced, &bridge.Announced{})
			if (q.Source == "" || q.Source == s.Source) && (q.Status == "" || q.Status == s.Status) && (q.Model == "" || matches(q.Model, s.Model)) &&
				(q.Reference == "" || q.Reference == a.Reference) && (q.Tenant == "" || q.Tenant == a.Tenant) && (!q.Open || s.Open()) &&
				strings.HasPrefix(s.ID, q.IDPrefix) &&
				(!q.Missing || s.Open() && len(s.ID)%2 != 0 || s.Terminal() && s.Origin == bridge.OriginPoll) &&
				(q.ExpiresBefore.IsZero() || s.Status == bridge.StatusCompleted) &&
				!slices.ContainsFunc(q.Consumers, func(c Standing) bool { return !slices.Contains(stood[s.ID], c) }) &&
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
		if len(want) > 0 {
			some++
		}
		require.Equal(t, want, got, "%+v", q)
	}
	require.Greater(t, some, 20)
}
