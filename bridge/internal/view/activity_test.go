package view

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// at is the event as it is stored then.
func at(seq int, e *bridge.Event, stored time.Time) message {
	return message{seq: uint64(seq), stored: stored, event: e, at: fold.At{Sequence: uint64(seq), StoredAt: stored}} //nolint:gosec // positive
}

// of is the event, of another model.
func of(e *bridge.Event, model string) *bridge.Event {
	e.Model = model
	return e
}

func failedWith(t testing.TB, id, text string) *bridge.Event {
	t.Helper()
	return says(t, id, fmt.Sprintf(`"status":"failed","error":%q`, text))
}

func TestModels(t *testing.T) {
	t.Parallel()
	v := filled(t, t.TempDir()+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	now := foldtest.Noon.Add(30 * time.Minute)
	seq := 0
	msgs := []message{}
	say := func(e *bridge.Event, ago time.Duration) {
		seq++
		msgs = append(msgs, at(seq, e, now.Add(-ago)))
	}
	for i := range 10 { // the time before
		say(of(says(t, fmt.Sprint("old", i), finished), "flaky"), 30*time.Hour)
	}
	for i := range 6 {
		say(of(says(t, fmt.Sprint("ok", i), finished), "flaky"), 2*time.Hour)
	}
	for i := range 3 {
		say(of(failedWith(t, fmt.Sprint("bad", i), fmt.Sprint("no GPU ", i)), "flaky"), 61*time.Minute)
	}
	say(of(failedWith(t, "odd", `<b>\x1b[31m`), "flaky"), 61*time.Minute)
	say(of(says(t, "fine", finished), "fine"), time.Minute)
	say(of(says(t, "fine", finished), "fine"), time.Minute) // the same fact again
	say(of(says(t, "open", running), "fine"), time.Minute)
	foldDirectly(t, v, msgs)

	page, err := v.Models(t.Context(), ModelQuery{Since: 24 * time.Hour, Now: now})
	require.NoError(t, err)
	require.Equal(t, time.Hour, page.Step)
	require.Equal(t, foldtest.Noon.Add(-24*time.Hour), page.From)
	require.Len(t, page.Models, 2)
	flaky, fine := page.Models[0], page.Models[1]
	require.Equal(t, "flaky", flaky.Model)
	require.Equal(t, []int64{6, 4, 0}, []int64{flaky.Completed, flaky.Failed, flaky.Canceled})
	require.EqualValues(t, 10, flaky.Before.Completed)
	require.Equal(t, []FailureGroup{
		{Error: "no GPU #", N: 3, Source: "get3w", Prediction: "bad2", last: 19}, {Error: normalise(`<b>\x1b[31m`), N: 1, Source: "get3w", Prediction: "odd", last: 20},
	}, flaky.Errors)
	require.EqualValues(t, 1, fine.Completed)
	for _, lag := range []struct {
		Lag
		want time.Duration
	}{{fine.Queued, time.Second}, {fine.Inference, 2 * time.Second}, {fine.Webhook, foldtest.Noon.Sub(foldtest.Noon.Add(-time.Hour + 3*time.Second))}} {
		require.EqualValues(t, 1, lag.N)
		require.InEpsilon(t, float64(lag.want), float64(lag.P50), 0.1)
		require.Equal(t, lag.P50, lag.P95)
	}

	newest, err := v.Models(t.Context(), ModelQuery{Since: 24 * time.Hour, Now: now, Newest: true, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "fine", newest.Models[0].Model)
	rest, err := v.Models(t.Context(), ModelQuery{Since: 24 * time.Hour, Now: now, Newest: true, Limit: 1, Cursor: newest.Next})
	require.NoError(t, err)
	require.Equal(t, "flaky", rest.Models[0].Model)
	require.Empty(t, rest.Next)
	for _, cursor := range []string{"x", "!", strings.Repeat("A", 1<<16)} {
		_, err = v.Models(t.Context(), ModelQuery{Since: time.Hour, Now: now, Cursor: cursor})
		require.ErrorIs(t, err, ErrCursor)
	}
	for _, since := range []time.Duration{-1, 0, time.Second, MaxSince + 1} {
		_, err = v.Models(t.Context(), ModelQuery{Since: since, Now: now})
		require.Error(t, err)
	}
	for since, step := range map[time.Duration]time.Duration{time.Hour: time.Minute, 72 * time.Hour: time.Hour, MaxSince: 24 * time.Hour} {
		page, err := v.Models(t.Context(), ModelQuery{Since: since, Now: now, Model: "fl*", Source: "get3w"})
		require.NoError(t, err)
		require.Equal(t, step, page.Step)
		require.Equal(t, since > time.Hour, len(page.Models) == 1, "the failures were an hour and more ago")
	}
	none, err := v.Models(t.Context(), ModelQuery{Since: MaxSince, Now: now, Source: "nobody"})
	require.NoError(t, err)
	require.Empty(t, none.Models)
}

// A provider that invents errors without end fills no disk, and the count is right.
func TestErrorsOfAModelAreBounded(t *testing.T) {
	t.Parallel()
	v := filled(t, t.TempDir()+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	var msgs []message
	for i := range 200 {
		text := strings.Repeat("x", 1<<20)
		if i > 0 {
			text = "new " + strings.Repeat(string(rune('g'+i%20)), 1+i/20)
		}
		msgs = append(msgs, at(i+1, failedWith(t, fmt.Sprint("p", i), text), foldtest.Noon))
	}
	foldDirectly(t, v, msgs[:100])
	foldDirectly(t, v, msgs[100:])
	page, err := v.Models(t.Context(), ModelQuery{Since: time.Hour, Now: foldtest.Noon})
	require.NoError(t, err)
	require.EqualValues(t, 200, page.Models[0].Failed)
	require.Equal(t, "#", page.Models[0].Errors[0].Error)
	require.EqualValues(t, 200-maxErrors, page.Models[0].Errors[0].N)
	require.Len(t, page.Models[0].Errors, topErrors)
}

func TestOldCountsGo(t *testing.T) {
	t.Parallel()
	v := filled(t, t.TempDir()+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	foldDirectly(t, v, []message{at(1, failedWith(t, "a", "no"), foldtest.Noon)})
	rows := func() (rows []int) {
		for _, sql := range []string{countActivity, countTallies, countFailures} {
			for _, span := range spans {
				require.NoError(t, v.db.Load().writer.query(sql, func(s *sqlite3.Stmt) error { rows = append(rows, s.ColumnInt(0)); return nil }, span.minutes))
			}
		}
		return rows
	}
	for left := range spans {
		require.NoError(t, v.pruneActivity(foldtest.Noon.Add(spans[left].keep-48*time.Hour)))
		want := []int{1, 1, 1, 2, 2, 2, 1, 1, 1} // accepted, and ended by a webhook
		for i := range want {
			if i%len(spans) < left {
				want[i] = 0
			}
		}
		require.Equal(t, want, rows())
	}
	require.NoError(t, v.pruneActivity(foldtest.Noon.AddDate(1, 0, 0)))
	require.Equal(t, make([]int, 9), rows())
}

func TestFigures(t *testing.T) {
	t.Parallel()
	v := filled(t, t.TempDir()+"/view.db", 0, 1)
	defer func() { require.NoError(t, v.drop()) }()
	now := foldtest.Noon.Add(90 * time.Second)
	polled := says(t, "polled", finished)
	polled.Origin = bridge.OriginPoll
	lost, err := (&bridge.Lost{Source: "get3w", Prediction: "gone", Cause: bridge.DeadNotFound, LostAt: foldtest.Noon}).Event()
	require.NoError(t, err)
	foldDirectly(t, v, []message{
		at(1, says(t, "old", finished), now.Add(-26*time.Hour)), at(2, says(t, "a", running), now.Add(-time.Minute)), at(3, says(t, "a", finished), now),
		at(4, polled, now), at(5, says(t, "gone", running), now.Add(-time.Hour)), at(6, lost, now), at(7, archivedOf(t, says(t, "b", finished)), now),
	})
	got, err := v.Figures(t.Context(), now)
	require.NoError(t, err)
	require.Equal(t, []int64{1, 1, 0, 1}, []int64{got.ByWebhook, got.ByPoll, got.ByOther, got.Lost})
	require.Len(t, got.Accepted, 60)
	require.Equal(t, []int64{1, 1}, got.Accepted[58:])
	require.EqualValues(t, 2, sumOf(got.Accepted))
	require.Equal(t, 3, got.Unarchived, "old, a and polled")
	require.Equal(t, foldtest.Noon.Add(-time.Hour+3*time.Second+7*24*time.Hour), got.NextDeleted)
	later, err := v.Figures(t.Context(), now.AddDate(0, 1, 0))
	require.NoError(t, err)
	require.Zero(t, later.Unarchived)
	require.True(t, later.NextDeleted.IsZero())
}

// A quantile is within 10 % of the one of the times themselves.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	seed := cmp.Or(*seedFlag, rand.Uint64()) //nolint:gosec // it is shown, to be repeated
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 4)) //nolint:gosec // repeatable
	for range 100 {
		var l lags
		var all []time.Duration
		for range 1 + random.IntN(300) {
			d := time.Duration(float64(time.Millisecond) * pow(random.Float64()))
			all = append(all, d)
			var one lags
			one.add(webhook, d)
			l.merge(&one)
		}
		slices.Sort(all)
		got := l.lag(webhook)
		require.EqualValues(t, len(all), got.N)
		require.InEpsilon(t, float64(all[(len(all)+1)/2-1]), float64(got.P50), 0.1)
		require.InEpsilon(t, float64(all[(len(all)*95+99)/100-1]), float64(got.P95), 0.1)
	}
	var l lags
	for _, d := range []time.Duration{-1, maxLag, maxLag - 1, 0} {
		l.add(queued, d)
	}
	require.EqualValues(t, 2, l.lag(queued).N)
	require.Zero(t, l.lag(inference))
}

// pow spreads a number from 0 to 1 over 1 to a million.
func pow(x float64) float64 {
	out := 1.0
	for ; x > 0; x -= 0.05 {
		out *= 1 + 19*min(x, 0.05)
	}
	return out
}

func FuzzLags(f *testing.F) {
	f.Add([]byte{0, 0, 0}, int64(time.Second))
	f.Add([]byte{1, 127, 1, 0, 0}, int64(0))
	f.Fuzz(func(t *testing.T, raw []byte, d int64) {
		var l lags
		if err := l.addEncoded(raw); err != nil {
			require.ErrorIs(t, err, errDamaged)
			return
		}
		var again lags
		require.NoError(t, again.addEncoded(l.encode()))
		l.add(inference, time.Duration(d))
		again.add(inference, time.Duration(d))
		require.Equal(t, l, again)
	})
}
