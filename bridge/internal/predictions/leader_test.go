package predictions

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/contracts/contractstest"
	"github.com/hookspan/hookspan/bridge/internal/predictions/poller"
	"github.com/hookspan/hookspan/bridge/internal/predictions/provider"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/internal/adminapi"
	"github.com/hookspan/hookspan/internal/streams"
)

// An overdue prediction is polled once its poll is written down, and the record goes with its
// end.
func TestPollsWhatIsOverdue(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.overdue("a")
	r.publish(r.watches("b", bridge.Watch{Deadline: time.Now().Add(time.Hour)}))
	r.eventually(func() bool { rec := r.record("a"); return rec != nil && rec.Said == "processing" })
	rec := r.record("a")
	require.Equal(t, 1, rec.Polls)
	require.True(t, rec.NotBefore.After(time.Now()))
	require.Equal(t, "604800s", r.kept(pollKey("a")).Header.Get("Nats-TTL"))
	require.Nil(t, r.record("b"), "no key for a prediction that is not polled")
	r.publish(r.says("a", finished))
	r.eventually(func() bool { return r.record("a") == nil }, "it has ended")
	require.Equal(t, []string{"a"}, r.polled())
	r.eventually(func() bool { return r.lease().Sources["get3w"].Polled })
	r.eventually(func() bool { // a slow count may be some moments old
		sources, err := Sources(t.Context(), p.view, r.lease().Sources, time.Now())
		require.NoError(t, err)
		return sources["get3w"].Open == 1 && sources["get3w"].Overdue == 0
	})
}

// A new leader, also one with a new view, polls nothing that was just polled.
func TestNewLeaderAsksNothingTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	all := ids(40)
	for _, id := range all {
		r.overdue(id)
	}
	r.eventually(func() bool {
		return !slices.ContainsFunc(all, func(id string) bool { rec := r.record(id); return rec == nil || rec.Said == "" })
	})
	p.stop()
	next := r.start("two", r.store)
	r.eventually(next.leads)
	r.overdue("last")
	r.eventually(func() bool { return slices.Contains(r.polled(), "last") })
	r.eventually(func() bool {
		_, overdue, _, err := next.view.Counts(t.Context(), "get3w", time.Now())
		require.NoError(t, err)
		return overdue <= 1
	}, "the others are put off")
	require.Len(t, r.polled(), len(all)+1)
}

// A view that is behind polls nobody: the end may have come.
func TestNobodyIsPolledWhileTheViewIsBehind(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, id := range ids(300) {
		r.overdue(id)
		r.publish(r.says(id, finished))
	}
	r.overdue("open")
	r.start("one", r.store)
	r.eventually(func() bool { return len(r.polled()) > 0 })
	require.Equal(t, []string{"open"}, r.polled())
}

// A leader whose view stands still gives up the lead to a process whose view does not.
func TestLeaderWithoutAViewGivesUpTheLead(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.times.stuck = 100 * time.Millisecond
	p := r.start("one", r.store)
	r.eventually(p.leads)
	file := filepath.Join(r.dir, "one.db")
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700)) // so that no view can be made there
	require.NoError(t, os.WriteFile(filepath.Join(file, "x"), nil, 0o600))
	r.eventually(func() bool { return !p.leads() })
	r.overdue("a")
	r.start("two", r.store)
	r.eventually(func() bool { return len(r.polled()) == 1 }, "by the other one")
	require.False(t, p.leads())
}

// Overdue predictions that cannot be polled raise an alarm, also those of a source that is not
// configured any more.
func TestOverdueWithoutAPIIsAnAlarm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store, func(c *Config) { c.Sources = map[string]poller.SourceConfig{"get3w": {Source: r.source}} })
	r.overdue("a")
	r.folded(p)
	r.eventually(func() bool {
		if led := p.current.Load(); led != nil {
			led.tellUnpolled(r.ctx)
		}
		return slices.Contains(r.heard.Kinds(), bridge.AlarmPolling)
	})
}

// A given up prediction is closed, and is polled anew when its dead letter is redriven.
func TestLostAndRedriven(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.answers(func(string) ([]byte, error) { return nil, fmt.Errorf("polling: %w", provider.ErrNoPrediction) })
	watch := r.watches("a", bridge.Watch{Deadline: time.Now().Add(-time.Hour)})
	at := r.publish(watch)
	stream, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
	require.NoError(t, err)
	m, err := stream.GetMsg(t.Context(), at.Sequence)
	require.NoError(t, err)
	// As an earlier leader has left it: the provider did not know it twice.
	_, err = r.bucket(r.store).put(t.Context(), pollKey("a"), poller.Record{FirstSeen: m.Time.UTC(), Polls: 8, NotFound: 2}, 0, pollLife)
	require.NoError(t, err)
	p := r.start("one", r.store)
	gone := func() bool {
		s, err := p.view.Prediction(t.Context(), "get3w", "a")
		return err == nil && s.Lost != nil && r.record("a") == nil
	}
	r.eventually(gone)
	require.Equal(t, 9, r.state(p, "a").Lost.Polls)
	require.Equal(t, map[string]int{"watchSet": 1, "watchLost": 1, "dead": 1}, contractstest.New(t).RequireStored(t, r.JS))
	for n := range 2 {
		copied := r.again(watch, fmt.Sprint(n))
		r.eventually(func() bool { rec := r.record("a"); return rec != nil && rec.Again == copied && rec.NotFound == 1 }, "it is asked for at once")
		require.Equal(t, 1, r.record("a").Polls)
		require.Nil(t, r.state(p, "a").Lost)
		lost := bridge.Lost{Source: "get3w", Prediction: "a", Cause: bridge.DeadNotFound, LostAt: time.Now().UTC()}
		e, err := lost.Event()
		require.NoError(t, err)
		r.publish(e)
		r.eventually(gone)
	}
}

// What polls of an earlier life of the prediction have counted does not count.
func TestRecordsOfAnEarlierLife(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	s := &bridge.PredictionState{
		Source: "get3w", ID: "a", Model: "m", FirstSeen: at, ExpectedBy: at.Add(time.Hour), Announced: &bridge.Announced{EstimatedDuration: 7},
		Events: []bridge.EventRef{{Sequence: 3, Kind: bridge.KindPrediction, Origin: bridge.OriginWebhook}, {Sequence: 5, Kind: bridge.KindWatch, Origin: bridge.OriginWatch}, {Sequence: 6}},
	}
	have := poller.Record{FirstSeen: at, Polls: 3, NotFound: 1, GivenUp: at, Cause: bridge.DeadNotFound}
	rec := recordOf(s, have)
	require.Equal(t, 3, rec.Polls)
	require.EqualValues(t, 5, rec.Sequence, "of who announced it last")
	require.InDelta(t, 7, rec.Estimate, 0)
	require.False(t, rec.Claimed)
	s.Again = 9
	rec = recordOf(s, have)
	require.Zero(t, rec.Polls+rec.NotFound)
	require.Zero(t, rec.GivenUp, "it was brought back")
	require.EqualValues(t, 9, rec.Sequence, "the copy knows how often it was redriven")
	rec.Polls = 1
	require.Equal(t, 1, recordOf(s, rec).Polls)
	s.FirstSeen = at.Add(time.Hour)
	require.Zero(t, recordOf(s, rec).Polls, "it became known anew")
	s.Events = []bridge.EventRef{{Sequence: 10, Origin: bridge.OriginClaim}}
	require.True(t, recordOf(s, rec).Claimed)
}

// A record that cannot be read holds up nothing.
func TestUnreadableRecordHoldsNothingUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, key := range []string{pollKey("a"), keyLeader, openKey("b")} {
		_, err := r.JS.PublishMsg(t.Context(), &nats.Msg{Subject: r.Names.PollsSubject(key), Data: []byte(`{"polls":"x`)})
		require.NoError(t, err)
	}
	r.start("one", r.store)
	r.overdue("a")
	r.eventually(func() bool { return len(r.polled()) == 1 })
	require.Equal(t, 1, r.record("a").Polls)
}

// A full bucket is led, and drops old records of polls alone.
func TestFullBucketIsLed(t *testing.T) {
	t.Parallel()
	cfg := streamtest.Config()
	r := rigOn(t, streamtest.Start(t, cfg))
	stream, err := r.JS.Stream(t.Context(), r.Names.PollsStream())
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.MaxBytes = 64 << 10
	_, err = r.JS.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	_, err = r.JS.Publish(t.Context(), r.Names.PollsSubject("submit.a"), []byte(`{}`))
	require.NoError(t, err)
	for n, bytes := 0, 1000; bytes > 0; n++ {
		key := fmt.Sprintf("%s.get3w.%d", bridge.KeyPoll, n)
		if _, err := r.JS.Publish(t.Context(), r.Names.PollsSubject(key), make([]byte, bytes)); err != nil {
			bytes /= 10 // no room for one more
		}
	}
	b := r.bucket(r.store)
	_, err = b.put(t.Context(), keyLeader, leaseRecord{Process: "one"}, 0, 0)
	require.ErrorIs(t, err, bridge.ErrFull, "young records stay")
	require.Contains(t, r.heard.Kinds(), bridge.AlarmPollsFull)
	b.roomAge = time.Nanosecond
	_, err = b.put(t.Context(), keyLeader, leaseRecord{Process: "one"}, 0, 0)
	require.NoError(t, err)
	require.NotNil(t, r.kept("submit.a"))
	require.Nil(t, r.kept("poll.get3w.0"))
}

// Events can name any source: a status lists the configured ones, and some others.
func TestStatusOfManySources(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	for n := range adminapi.MaxStatusSources + 20 {
		e := r.says("a", running)
		e.Source = fmt.Sprintf("s%03d", n)
		r.publish(e)
	}
	r.publish(r.says("a", running))
	r.folded(p)
	all, err := Sources(t.Context(), p.view, map[string]adminapi.SourceStatus{"quiet": {Polled: true}, "s000": {}}, time.Now())
	require.NoError(t, err)
	require.Len(t, all, adminapi.MaxStatusSources+2)
	require.Equal(t, adminapi.SourceStatus{Polled: true}, all["quiet"])
	require.Equal(t, 1, all["s000"].Open)
}

// A second end that says something else is an alarm, whoever leads.
func TestSecondEndIsAnAlarm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.eventually(p.leads)
	second := r.start("two", r.store)
	r.eventually(second.view.UpToDate)
	r.publish(r.says("a", finished))
	r.publish(r.says("a", `"status":"failed","error":"no"`))
	r.folded(p)
	r.folded(second)
	r.eventually(func() bool { return len(r.heard.Of(bridge.AlarmPredictionConflict)) == 2 })
	told := r.heard.Of(bridge.AlarmPredictionConflict)
	require.NotEmpty(t, told[0].ID)
	require.Equal(t, told[0].ID, told[1].ID, "it is one alarm in the stream")
}

// open are the keys of the open predictions in the bucket.
func (r *rig) open() (all []string) {
	r.t.Helper()
	require.NoError(r.t, r.bucket(r.store).Walk(r.ctx, bridge.KeyOpen+".>", func(m *jetstream.RawStreamMsg) error {
		all = append(all, m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
		return nil
	}))
	return all
}

// Open predictions whose events leave the stream soon are known to a new view although the
// events are gone, with their polls; what has ended leaves nothing.
func TestOpenPredictionsOutliveTheirEvents(t *testing.T) {
	t.Parallel()
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 2 << 20
	r := rigOn(t, streamtest.Start(t, cfg))
	p := r.start("one", r.store)
	r.publish(r.watches("open", bridge.Watch{Reference: "order 7", Deadline: time.Now().Add(-time.Hour)}))
	r.publish(r.watches("ended", bridge.Watch{}))
	r.eventually(func() bool { rec := r.record("open"); return rec != nil && rec.Said != "" })
	require.NoError(t, p.current.Load().keepRound(t.Context()))
	require.Empty(t, r.open(), "the stream has room")
	for n := range 190 { // some 80 %
		r.publish(r.says(fmt.Sprint(n), finished+`,"log":"`+strings.Repeat("x", 8<<10)+`"`))
	}
	r.publish(r.watches("young", bridge.Watch{}))
	r.folded(p)
	r.eventually(p.view.UpToDate)
	led := p.current.Load()
	require.NoError(t, led.keepRound(t.Context()))
	require.Equal(t, []string{"open", "ended"}, r.open())
	r.publish(r.says("ended", finished))
	r.eventually(func() bool { return len(r.open()) == 1 }, "what has ended leaves")
	rec := r.record("open")

	stream, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
	require.NoError(t, err)
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSequence(100)))
	want := r.state(p, "open")
	p.stop()
	next := r.start("two", r.store)
	r.folded(next)
	require.Equal(t, want, r.state(next, "open"))
	r.eventually(next.leads)
	r.overdue("last")
	r.eventually(func() bool { return slices.Contains(r.polled(), "last") })
	require.Equal(t, rec, r.record("open"), "nothing is asked twice")
	require.Equal(t, []string{"open", "last"}, r.polled())
	_, kept := next.current.Load().told()
	require.Equal(t, led.kept.Created, kept.Created)
	require.GreaterOrEqual(t, kept.Before, led.kept.Before, "the next leader goes on where this one was")

	// What an earlier leader could not remove goes with the next one.
	_, err = r.bucket(r.store).put(t.Context(), openKey("gone"), keptState{State: &bridge.PredictionState{Source: "get3w", ID: "gone"}}, 0, 0)
	require.NoError(t, err)
	require.NoError(t, next.current.Load().tidyKept(t.Context()))
	require.Equal(t, []string{"open"}, r.open())
}

// An open prediction that is larger than what the server takes is told to operators, and the
// others are kept.
func TestOpenPredictionThatNATSNeverTakes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.eventually(p.leads)
	for _, s := range []*bridge.PredictionState{
		{Source: "get3w", ID: "large", Status: "processing", Sequence: 1, Announced: &bridge.Announced{Metadata: map[string]string{"a": strings.Repeat("x", streams.MaxPayload)}}},
		{Source: "get3w", ID: "small", Status: "processing", Sequence: 2},
	} {
		require.NoError(t, p.current.Load().keep(t.Context(), time.Now(), s))
	}
	require.Equal(t, []string{"small"}, r.open())
	told := p.logs.FilterMessageSnippet("raise max_payload").All()
	require.Len(t, told, 1)
	require.Equal(t, "large", told[0].ContextMap()["prediction"])
	require.Empty(t, r.heard.Kinds(), "the bucket is not full, so no record leaves it")
	require.True(t, p.leads())
}

// A view's position is written down, and goes with its time.
func TestViewIsRegistered(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store)
	r.publish(r.says("a", running))
	r.folded(p)
	require.NoError(t, register(t.Context(), r.JS, r.Names, "host/1", p.view.Position()))
	m := r.kept("view.host=2F1")
	require.NotNil(t, m)
	require.Equal(t, "259200s", m.Header.Get("Nats-TTL"))
	require.Contains(t, string(m.Data), `"folded":1`)
}
