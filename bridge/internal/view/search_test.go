package view

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

// Missing are those that no webhook told the end of although it was expected, each once.
func TestMissing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db", func(c *Config) {
		c.Due = func(s *bridge.PredictionState) time.Time {
			return map[string]time.Time{"overdue": foldtest.Noon, "later": time.Now().Add(time.Hour), "asked": time.Now().Add(time.Hour)}[s.ID]
		}
	})
	polled := says(t, "polled", finished)
	polled.Origin = bridge.OriginPoll
	lost, err := (&bridge.Lost{Source: "get3w", Prediction: "lost", Cause: bridge.DeadNotFound, LostAt: foldtest.Noon}).Event()
	require.NoError(t, err)
	r.publish(
		says(t, "came", finished), polled, says(t, "lost", running), lost, says(t, "overdue", running), says(t, "later", running), says(t, "asked", running),
		watched(t, "promised", bridge.Watch{Deadline: foldtest.Noon}), watched(t, "unplanned", bridge.Watch{}), watched(t, "early", bridge.Watch{Deadline: time.Now().Add(time.Hour)}),
	)
	x.folded()
	require.NoError(t, x.SetDue(t.Context(), "get3w", "asked", time.Now().Add(time.Hour), 1))
	for _, limit := range []int{0, 1, 2} {
		require.Equal(t, []string{"promised", "asked", "overdue", "lost", "polled"}, x.all(Query{Missing: true, Limit: limit}), "a process that does not poll knows deadlines")
		require.Equal(t, []string{"promised", "asked", "overdue"}, x.all(Query{Missing: true, Open: true, Limit: limit}))
		require.Equal(t, []string{"polled"}, x.all(Query{Missing: true, Status: "completed", Limit: limit}))
	}
}

// Outputs that no archive has expire with the provider's life of them, and hold their
// prediction in the view until then.
func TestOutputsThatExpire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const life = 7 * 24 * time.Hour
	v := filled(t, r.dir+"/view.db", 0, 1, func(c *Config) {
		c.Keep, c.Life = time.Hour, func(string) time.Duration { return life }
	})
	defer func() { require.NoError(t, v.drop()) }()
	x := &viewed{View: v, r: r}
	now, seq := time.Now(), uint64(0)
	at := func(stored time.Time, e *bridge.Event) {
		seq++
		e.ReceivedAt = stored
		m := message{seq: seq, stored: stored, event: e}
		m.at.Sequence, m.at.StoredAt = seq, stored
		foldDirectly(t, v, []message{m})
	}
	end := func(id string, ago time.Duration, outputs string) *bridge.Event {
		e := says(t, id, `"status":"completed","outputs":`+outputs+`,"completed_at":"`+now.Add(-ago).Format(time.RFC3339)+`"`)
		at(now.Add(-ago), e)
		return e
	}
	const address, day = `["https://cdn.get3w.com/a.png"]`, 24 * time.Hour
	end("gone", 8*day, address)
	end("tomorrow", 6*day+time.Hour, address)
	end("soon", 6*day+23*time.Hour, address)
	end("text", 6*day+time.Hour, `["a poem"]`)
	archived := end("archived", 6*day+time.Hour, address)
	refused := end("refused", 6*day+2*time.Hour, address)
	end("fresh", time.Minute, address)
	at(now.Add(-time.Minute), archivedOf(t, archived))
	failed := foldtest.Archived(t, refused, bridge.Archived{Missing: []bridge.MissingOutput{{N: 0, SourceURL: "https://cdn.get3w.com/a.png", Error: "no room"}}})
	failed.PredictionID = refused.PredictionID
	at(now.Add(-time.Minute), failed)
	within := func(d time.Duration) []string {
		all := x.all(Query{ExpiresBefore: now.Add(d)})
		require.Equal(t, all, x.all(Query{ExpiresBefore: now.Add(d), Limit: 1, listed: 1}), "too many to be put in order at once")
		return all
	}
	require.Equal(t, []string{"refused", "soon", "tomorrow"}, within(day))
	require.Equal(t, []string{"soon"}, within(2*time.Hour))
	require.Equal(t, []string{"fresh", "refused", "soon", "tomorrow"}, within(30*day))
	page, _, err := v.Predictions(t.Context(), Query{ExpiresBefore: now.Add(day), Limit: 1})
	require.NoError(t, err)
	require.WithinDuration(t, now.Add(22*time.Hour), page[0].Expires, time.Second)

	_, err = v.prunePredictions(now)
	require.NoError(t, err)
	require.Equal(t, []string{"fresh", "refused", "soon", "tomorrow"}, x.all(Query{}))
}

// Ids with a prefix come in order, also when they are too many to be put in order at once.
func TestPrefixes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 2000
	v := filled(t, r.dir+"/view.db", n, 1)
	defer func() { require.NoError(t, v.drop()) }()
	x := &viewed{View: v, r: r}
	for _, prefix := range []string{"", "pred_", "pred_0", "pred_00f", "x"} {
		var want []string
		for i := n; i > 0; i-- {
			if id := predictionID(i); strings.HasPrefix(id, prefix) {
				want = append(want, id)
			}
		}
		for _, most := range []int{0, 1, len(want), len(want) - 1} {
			require.Equal(t, want, x.all(Query{IDPrefix: prefix, Limit: 700, listed: most}), "%q", prefix)
		}
	}
}

// The state with a consumer is that of any event of the prediction, and the newest that is
// known: also before the event is folded, and after its dead letter has gone.
func TestStandings(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	x := r.start("view.db")
	early, end := says(t, "a", running), says(t, "a", finished)
	first := r.publish(early).Sequence
	seq := r.publish(end, says(t, "b", finished)).Sequence - 1
	x.folded()
	is := func(state LaneState) []string {
		return x.all(Query{Consumers: []Standing{{"billing", state}}})
	}
	told := func(e *bridge.Event, seq uint64, n int, verdict string) {
		r.tells("billing", bridge.Attempt{
			Event: e.ID, Source: "get3w", Prediction: "a", Sequence: seq, At: time.Now().Add(time.Duration(n) * time.Minute), Try: n, Verdict: verdict,
		})
		x.heard(uint64(n), 0) //nolint:gosec // positive
	}
	told(early, first, 1, bridge.VerdictRetry)
	require.Equal(t, []string{"a"}, is(LaneFailing))
	told(early, first, 2, bridge.VerdictDone)
	require.Empty(t, is(LaneFailing))
	told(end, seq, 3, bridge.VerdictRetry)
	require.Equal(t, []string{"a"}, is(LaneFailing))
	require.Equal(t, []string{"a"}, is(LaneHandled), "the first event is")
	page, _, err := x.Predictions(t.Context(), Query{IDPrefix: "a"})
	require.NoError(t, err)
	require.Equal(t, []Standing{{"billing", LaneFailing}}, page[0].Standings, "the worst of its events")
	told(end, seq, 4, bridge.VerdictDead)
	require.Empty(t, is(LaneFailing))
	require.Empty(t, is(LaneDead), "it is not there yet")
	dead := r.kills("billing", end)
	x.folded()
	require.Equal(t, []string{"a"}, is(LaneDead))
	stream, err := r.JS.Stream(t.Context(), r.Names.DeadStream())
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), dead))
	r.eventually(func() bool { return len(is(LaneDead)) == 0 })
}
