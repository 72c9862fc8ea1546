package predictions

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/streamtest"
	"github.com/hookspan/hookspan/bridge/internal/view/fold"
	"github.com/hookspan/hookspan/bridge/internal/view/fold/foldtest"
)

func TestClosedAt(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Watched(t, bridge.Watch{}))
	_, forever := left(&s, time.Hour, foldtest.Noon)
	require.True(t, forever)
	lost := bridge.Lost{Source: "get3w", Prediction: "pred_1", LostAt: foldtest.Noon}
	e, err := lost.Event()
	require.NoError(t, err)
	foldtest.Next(&s, e)
	require.Equal(t, foldtest.Noon.Add(2*time.Second), closedAt(&s))
	end := foldtest.Told(t, bridge.OriginPoll, foldtest.Done)
	foldtest.Next(&s, end)
	require.Equal(t, foldtest.Noon.Add(3*time.Second), closedAt(&s), "when its end was stored")
	foldtest.Next(&s, foldtest.Archived(t, end, bridge.Archived{Manifest: "m"}))
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, `"status":"failed","error":"x"`))
	require.True(t, s.Conflict)
	require.Equal(t, foldtest.Noon.Add(3*time.Second), closedAt(&s), "nothing prolongs its stay")
	ttl, forever := left(&s, time.Hour, foldtest.Noon.Add(time.Hour))
	require.False(t, forever)
	require.Equal(t, 3*time.Second, ttl)

	var only bridge.PredictionState
	foldtest.Next(&only, foldtest.Archived(t, end, bridge.Archived{}))
	require.Equal(t, foldtest.Noon.Add(time.Second), closedAt(&only), "also when nothing else is known of it")
}

// An event after a prediction's time in the store is about an unknown prediction, whenever
// it is folded.
func TestOutlived(t *testing.T) {
	t.Parallel()
	var s bridge.PredictionState
	foldtest.Next(&s, foldtest.Told(t, bridge.OriginWebhook, foldtest.Done))
	end := closedAt(&s).Add(time.Hour)
	require.False(t, outlived(&s, time.Hour, fold.At{Sequence: 2, StoredAt: end}))
	require.True(t, outlived(&s, time.Hour, fold.At{Sequence: 2, StoredAt: end.Add(1)}))
	require.False(t, outlived(&s, time.Hour, fold.At{Sequence: 1, StoredAt: end.Add(1)}), "it is in it already")
	require.False(t, outlived(&bridge.PredictionState{}, time.Hour, fold.At{Sequence: 1, StoredAt: end}))
}

// A late fold leaves out predictions that ended longer ago than they are kept, and the
// events while they were kept.
func TestOldPredictionsStayOut(t *testing.T) {
	r := newRig(t)
	keep := func(c *Config) { c.Keep = 1100 * time.Millisecond } // the server counts seconds
	end := r.says("old", finished)
	r.publish(end)
	r.publish(r.watches("lost", bridge.Watch{}))
	r.publish(r.loses("lost"))
	r.publish(archivedOf(t, end))
	r.publish(r.says("open", running))
	for n := range fewCached + 100 { // makes the leader forget what is in memory only
		r.publish(r.says(fmt.Sprint("more-", n), finished))
	}
	last := r.publish(r.says("old", `"status":"failed","error":"x"`))
	stream, err := r.JS.Stream(t.Context(), r.Names.EventsStream())
	require.NoError(t, err)
	stored, err := stream.GetMsg(t.Context(), last.Sequence)
	require.NoError(t, err)
	r.eventually(func() bool { return time.Since(stored.Time) > 1200*time.Millisecond })
	watch := r.watches("again", bridge.Watch{})
	r.publish(watch)
	p := r.start("one", r.store, keep)
	r.folded(p)
	entries := r.all(bridge.KeyEntry)
	require.Contains(t, entries, entryKey("open"))
	require.Contains(t, entries, entryKey("again"))
	require.Len(t, entries, 2)
	require.Len(t, r.all(bridge.KeyOpen), 2)

	// A prediction with an entry goes when its time is over.
	r.publish(r.says("open", finished))
	r.folded(p)
	require.True(t, r.state("open").Terminal())
	r.eventually(func() bool { return r.kept(entryKey("open")) == nil })
	r.publish(r.says("open", running+`,"n":2`))
	r.folded(p)
	s := r.state("open")
	require.Equal(t, bridge.StatusProcessing, s.Status, "what was known of it is forgotten")
	require.Len(t, s.Events, 1)
	require.NotNil(t, r.record("open"))
}

// shrink leaves the bucket room for some 3,000 predictions.
func (r *rig) shrink() jetstream.Stream {
	r.t.Helper()
	stream, err := r.JS.Stream(r.t.Context(), r.Names.PredictionsStream())
	require.NoError(r.t, err)
	shrunk := stream.CachedInfo().Config
	shrunk.MaxBytes = 3 << 20
	stream, err = r.JS.UpdateStream(r.t.Context(), shrunk)
	require.NoError(r.t, err)
	return stream
}

// A full store drops finished predictions, the oldest first, and no open one.
func TestFullStore(t *testing.T) {
	cfg := streamtest.Config()
	cfg.Streams.MaxBytes = 256 << 20
	r := rigOn(t, streamtest.Start(t, cfg))
	r.shrink()
	r.times.hold, r.times.patience = patience, 2*patience // only the room may end the leadership
	p := r.start("one", r.store)
	id := func(what string, n int) string { return fmt.Sprintf("%s-%d-%s", what, n, strings.Repeat("x", 200)) }
	for n := range 100 {
		r.publish(r.says(id("open", n), running))
	}
	r.publish(r.says(id("was", 0), running))
	r.folded(p)
	r.publish(r.says(id("was", 0), finished))
	for n := range 3000 {
		r.publish(r.says(id("done", n), finished))
	}
	r.folded(p)
	led := p.metrics.leadership.Load()
	require.NotContains(t, r.all(bridge.KeyEntry), entryKey(id("was", 0)))
	require.Contains(t, r.heard.Kinds(), bridge.AlarmPredictionsFull)
	entries := r.all(bridge.KeyEntry)
	require.Less(t, len(entries), 3100)
	for n := range 100 {
		require.Contains(t, entries, entryKey(id("open", n)))
	}
	require.NotContains(t, entries, entryKey(id("done", 0)), "the oldest")
	require.Contains(t, entries, entryKey(id("done", 2999)))
	require.Len(t, r.all(bridge.KeyOpen), 100)

	// A given up prediction comes back with its next event.
	r.publish(r.says(id("done", 0), `"status":"failed","error":"x"`))
	r.folded(p)
	require.Equal(t, bridge.StatusFailed, r.state(id("done", 0)).Status)
	r.publish(r.says(id("was", 0), running+`,"n":2`)) // its empty record is still there
	r.folded(p)
	require.NotNil(t, r.record(id("was", 0)))
	require.Same(t, led, p.metrics.leadership.Load(), "nothing of that ends the leadership")
}

// Leading a full store needs no room.
func TestFullStoreIsLed(t *testing.T) {
	r := newRig(t)
	stream := r.shrink()
	for n := 0; ; n++ {
		s := bridge.PredictionState{Source: "get3w", ID: fmt.Sprint(n), Status: bridge.StatusCompleted, Error: strings.Repeat("x", 1000)}
		raw, err := encodeState(&s)
		require.NoError(t, err)
		if _, err := r.JS.PublishAsync(r.Names.PredictionsSubject(entryKey(s.ID)), bytes.Repeat(raw, 1)); err != nil {
			require.NoError(t, err)
		}
		if n%1000 == 999 {
			<-r.JS.PublishAsyncComplete()
			info, err := stream.Info(t.Context())
			require.NoError(t, err)
			if info.State.Bytes+2000 > uint64(info.Config.MaxBytes) {
				break
			}
		}
	}
	for n := range 40 { // no room for even a small one
		if _, err := r.JS.Publish(t.Context(), r.Names.PredictionsSubject(fmt.Sprint("fill.", n)), nil); err != nil {
			break
		}
		require.Less(t, n, 39)
	}
	p := r.start("one", r.store)
	r.eventually(p.leads)
	r.publish(r.says("a", finished))
	r.folded(p)
	require.True(t, r.state("a").Terminal())
}

// Old events make the same entry when they are folded late, also when the leader's memory
// was dropped in between.
func TestFoldedLateIsTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	l := NewLeader(r.JS, r.store, Config{Names: r.Names, Keep: time.Hour, Alarms: r.heard})
	l.lease = &lease{bucket: l.bucket, times: leaseTimes{hold: time.Hour}}
	require.NoError(t, l.lease.acquire(t.Context()))
	led := newLeadership(l)
	now, seq := time.Now(), uint64(0)
	foldAt := func(ago time.Duration, again bool, e *bridge.Event) {
		seq++
		at := fold.At{Sequence: seq, StoredAt: now.Add(-ago), Again: again}
		require.NoError(t, led.foldBlock(t.Context(), []read{{Event: e, key: entryKey(e.PredictionID), at: at}}))
		led.entries.Purge()
	}
	end, watch := r.says("ended", finished), r.watches("lost", bridge.Watch{Reference: "order 7"})
	foldAt(90*time.Minute, false, end)
	foldAt(90*time.Minute, false, watch)
	foldAt(90*time.Minute, false, r.loses("lost"))
	require.NotContains(t, r.all(bridge.KeyEntry), entryKey("ended"), "it would be gone by now")
	require.Equal(t, "1s", r.kept(entryKey("lost")).Header.Get(jetstream.MsgTTLHeader))
	r.eventually(func() bool { return len(r.all(bridge.KeyEntry)) == 0 })
	foldAt(80*time.Minute, true, watch)
	foldAt(80*time.Minute, false, r.loses("lost"))
	foldAt(40*time.Minute, false, archivedOf(t, end))
	require.NotContains(t, r.all(bridge.KeyEntry), entryKey("ended"), "it was there still, and would be gone with it")
	foldAt(40*time.Minute, true, watch)
	s := r.state("lost")
	require.True(t, s.Open())
	require.Equal(t, "order 7", s.Announced.Reference)
	require.True(t, s.FirstSeen.Equal(now.Add(-90*time.Minute)), "its history is not lost")
	require.Len(t, s.Events, 3)
	require.NotNil(t, r.record("lost"))
	foldAt(20*time.Minute, false, archivedOf(t, end))
	require.Len(t, r.state("ended").Events, 1, "nobody knew it any more")
}

// An entry in the leader's memory is not in the store any more once its time is over.
func TestEntryGoesWhileItIsInMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start("one", r.store, func(c *Config) { c.Keep = 1100 * time.Millisecond })
	r.publish(r.watches("a", bridge.Watch{}))
	r.publish(r.loses("a"))
	r.folded(p)
	led := p.metrics.leadership.Load()
	r.eventually(func() bool { return r.kept(entryKey("a")) == nil })
	r.publish(r.says("a", running))
	r.folded(p)
	require.Equal(t, bridge.StatusProcessing, r.state("a").Status)
	require.Nil(t, r.state("a").Announced, "that is forgotten")
	require.Same(t, led, p.metrics.leadership.Load())
}

func TestGoneKnowsTheLast(t *testing.T) {
	t.Parallel()
	g := newGone()
	g.most = 10
	for n := range 35 {
		g.add(fmt.Sprint(n), foldtest.Noon)
	}
	require.True(t, g.has("34", foldtest.Noon))
	require.True(t, g.has("20", foldtest.Noon))
	require.False(t, g.has("34", foldtest.Noon.Add(1)))
	require.False(t, g.has("5", foldtest.Noon), "of so many")
	require.LessOrEqual(t, len(g.at)+len(g.before), 20)
}

// Making room removes neither open entries nor those that are being written.
func TestRoomIsMadeOfFinishedOnes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, what := range []string{"open", "held", "first", "second"} {
		s := bridge.PredictionState{Source: "get3w", ID: what, Status: bridge.StatusCompleted}
		if what == "open" {
			s.Status = bridge.StatusProcessing
		}
		raw, err := encodeState(&s)
		require.NoError(t, err)
		_, err = r.JS.Publish(t.Context(), r.Names.PredictionsSubject(entryKey(what)), raw)
		require.NoError(t, err)
	}
	b := NewLeader(r.JS, r.store, Config{Names: r.Names, Alarms: r.heard}).bucket
	held := map[string]bool{entryKey("held"): true}
	removed, next, err := b.makeRoom(t.Context(), 1, 0, held)
	require.NoError(t, err)
	require.Equal(t, []string{entryKey("first")}, removed)
	removed, next, err = b.makeRoom(t.Context(), 1, next, held)
	require.NoError(t, err)
	require.Equal(t, []string{entryKey("second")}, removed)
	_, _, err = b.makeRoom(t.Context(), 1, next, held)
	require.ErrorIs(t, err, bridge.ErrFull, "it does not try for ever")
	require.Len(t, r.all(bridge.KeyEntry), 2)
}
